"""What people text back.

Before the deploy: a table that the release before this one does not know.
"""

from django.db import migrations, models

import config.fields
import config.values.ids


class Migration(migrations.Migration):
    dependencies = [
        ("disputes", "0006_holds_kept"),
    ]

    operations = [
        migrations.CreateModel(
            name="InboundMessage",
            fields=[
                (
                    "id",
                    config.fields.IdField(
                        default=config.values.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("caller", models.CharField(db_collation="C", max_length=200)),
                ("external_id", models.CharField(db_collation="C", max_length=200)),
                ("content", config.fields.DigestField(max_length=17)),
                ("phone", config.fields.SealedTextField()),
                ("phone_digest", config.fields.DigestField(max_length=17)),
                ("text", config.fields.SealedTextField()),
                ("to", models.CharField(blank=True, default="", max_length=40)),
                ("vendor", models.CharField(blank=True, default="", max_length=200)),
                ("received_at", models.DateTimeField()),
                ("recorded_at", models.DateTimeField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("opt_out", "Opt Out"),
                            ("opt_in", "Opt In"),
                            ("dispute", "Dispute"),
                            ("comment", "Comment"),
                            ("kept", "Kept"),
                        ],
                        default="kept",
                        max_length=10,
                    ),
                ),
                ("dispute", models.UUIDField(blank=True, null=True)),
                ("hold", models.UUIDField(blank=True, null=True)),
                ("answer", models.TextField(blank=True, default="")),
                ("read_at", models.DateTimeField(blank=True, null=True)),
                ("read_by", models.CharField(blank=True, default="", max_length=200)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["phone_digest", "external_id"], name="inbound_by_phone"),
                    models.Index(
                        condition=models.Q(("dispute__isnull", False)), fields=["dispute"], name="inbound_by_dispute"
                    ),
                    models.Index(
                        condition=models.Q(("kind", "kept"), ("read_at__isnull", True)),
                        fields=["-id"],
                        name="inbound_unread",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("caller", "external_id"), name="one_inbound_a_caller_and_id"),
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["opt_out", "opt_in", "dispute", "comment", "kept"])),
                        name="inbound_kind_known",
                    ),
                ],
            },
        ),
    ]
