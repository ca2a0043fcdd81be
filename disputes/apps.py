from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured
from django.db.models.signals import post_migrate


class DisputesConfig(AppConfig):
    name = "disputes"
    label = "disputes"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Reads the packs, so that a broken one stops the start; hangs on the import and on the sending of notices what
        higher rooms do inside them, and on the migration the groups of the back office."""
        from disputes.cases.answering import withhold_acknowledgement
        from disputes.desk.groups import apply_groups
        from disputes.holds.covering import extend_holds
        from disputes.holds.permits import mark_used
        from disputes.holds.policies import check_packs
        from disputes.holds.unauthorised import note_sends
        from disputes.holds.withholding import KINDS, withhold_opted_out
        from disputes.notices.hooks import before_sending
        from disputes.records import hooks

        try:
            check_packs()
        except ImproperlyConfigured as error:
            raise SystemExit(f"recourse will not start: {error}") from None
        if extend_holds not in hooks.on_owners_changed:
            hooks.on_owners_changed.append(extend_holds)
        if mark_used not in hooks.on_messages_arrived:
            hooks.on_messages_arrived.append(mark_used)
        if note_sends not in hooks.on_messages_arrived:
            hooks.on_messages_arrived.append(note_sends)
        before_sending.update(dict.fromkeys(KINDS, withhold_opted_out))
        before_sending["acknowledgement"] = withhold_acknowledgement
        post_migrate.connect(apply_groups, dispatch_uid="disputes.desk.groups")
