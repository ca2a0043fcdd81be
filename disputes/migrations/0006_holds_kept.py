"""Holds are kept by the database, the gate's denials are counted, and sends without a permit are listed.

Before the deploy: the release before this one places, widens and releases holds within what the triggers allow.
"""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

# A hold is released, never taken away or rewritten. While it stands it may be widened (its scope) and say another
# reason (`disputes.holds.placing`); its release is written once, and changes nothing else.
KEPT = migrations.RunSQL(
    sql="""
        CREATE FUNCTION disputes_keep_hold() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF OLD.released_at IS NOT NULL THEN
                RAISE EXCEPTION 'a hold that was released is never changed' USING ERRCODE = 'restrict_violation';
            END IF;
            IF (NEW.id, NEW.source, NEW.why, NEW.dispute, NEW.placed_at, NEW.placed_by)
                IS DISTINCT FROM (OLD.id, OLD.source, OLD.why, OLD.dispute, OLD.placed_at, OLD.placed_by)
            THEN
                RAISE EXCEPTION 'what a hold was placed with is never changed' USING ERRCODE = 'restrict_violation';
            END IF;
            IF NEW.released_at IS NULL
                AND (NEW.released_by, NEW.release_reason) IS DISTINCT FROM (OLD.released_by, OLD.release_reason)
                OR NEW.released_at IS NOT NULL AND (NEW.scope, NEW.reason) IS DISTINCT FROM (OLD.scope, OLD.reason)
            THEN
                RAISE EXCEPTION 'the release of a hold is written at once' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        END $$;
        CREATE FUNCTION disputes_keep_cover() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF OLD.released_at IS NOT NULL OR NEW.released_at IS NULL
                OR (NEW.id, NEW.hold_id, NEW.key, NEW.since)
                    IS DISTINCT FROM (OLD.id, OLD.hold_id, OLD.key, OLD.since)
            THEN
                RAISE EXCEPTION 'what a hold covers is released with it, and never changed otherwise'
                    USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        END $$;
        CREATE FUNCTION disputes_refuse_removal() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% are released, never deleted', TG_ARGV[0] USING ERRCODE = 'restrict_violation';
        END $$;
        CREATE TRIGGER hold_is_only_released BEFORE UPDATE ON disputes_hold
            FOR EACH ROW EXECUTE FUNCTION disputes_keep_hold();
        CREATE TRIGGER hold_is_kept BEFORE DELETE OR TRUNCATE ON disputes_hold
            FOR EACH STATEMENT EXECUTE FUNCTION disputes_refuse_removal('holds');
        CREATE TRIGGER cover_is_only_released BEFORE UPDATE ON disputes_holdcover
            FOR EACH ROW EXECUTE FUNCTION disputes_keep_cover();
        CREATE TRIGGER cover_is_kept BEFORE DELETE OR TRUNCATE ON disputes_holdcover
            FOR EACH STATEMENT EXECUTE FUNCTION disputes_refuse_removal('covers of holds');
    """,
    reverse_sql="""
        DROP TRIGGER cover_is_kept ON disputes_holdcover;
        DROP TRIGGER cover_is_only_released ON disputes_holdcover;
        DROP TRIGGER hold_is_kept ON disputes_hold;
        DROP TRIGGER hold_is_only_released ON disputes_hold;
        DROP FUNCTION disputes_refuse_removal();
        DROP FUNCTION disputes_keep_cover();
        DROP FUNCTION disputes_keep_hold();
    """,
)


class Migration(migrations.Migration):
    dependencies = [
        ("disputes", "0005_gate_reading"),
    ]

    operations = [
        migrations.CreateModel(
            name="GateTally",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("hour", models.DateTimeField()),
                ("reason", models.CharField(max_length=30)),
                ("category", models.CharField(default="", max_length=20)),
                ("vendor", models.CharField(default="", max_length=200)),
                ("count", models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="SendToLookAt",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("message", models.UUIDField()),
            ],
        ),
        migrations.CreateModel(
            name="GateHour",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("hour", models.DateTimeField()),
                ("reason", models.CharField(max_length=30)),
                ("category", models.CharField(default="", max_length=20)),
                ("vendor", models.CharField(default="", max_length=200)),
                ("count", models.BigIntegerField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("hour", "reason", "category", "vendor"), name="one_tally_an_hour")
                ],
            },
        ),
        migrations.CreateModel(
            name="UnauthorisedSearch",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("since", models.DateTimeField()),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="one_unauthorised_search")],
            },
        ),
        migrations.CreateModel(
            name="UnauthorisedSend",
            fields=[
                (
                    "message",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="unauthorised",
                        serialize=False,
                        to="disputes.message",
                    ),
                ),
                ("sent_at", models.DateTimeField()),
                ("vendor", models.CharField(db_collation="C", default="", max_length=200)),
                ("sending_rule", models.CharField(db_collation="C", default="", max_length=200)),
                ("category", models.CharField(max_length=20)),
                (
                    "faults",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=30), size=None),
                ),
                ("found_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-sent_at", "message"], name="unauthorised_by_instant"),
                    models.Index(fields=["vendor", "-sent_at"], name="unauthorised_by_vendor"),
                    models.Index(fields=["sending_rule", "-sent_at"], name="unauthorised_by_rule"),
                ],
            },
        ),
        KEPT,
    ]
