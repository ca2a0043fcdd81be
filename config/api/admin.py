"""The lender's systems in the admin.

The toolkit's own pages are taken away: by them a token could be typed in and stored as it is. A client is made by
`manage.py create_client`, which shows its secret once; here its name and scopes can be changed, and it can be deleted,
which ends its tokens.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from oauth2_provider import models as toolkit
from unfold.admin import ModelAdmin

from config.api.callers import SCOPES
from config.api.models import Client

for model in (
    Client,
    toolkit.get_access_token_model(),
    toolkit.get_refresh_token_model(),
    toolkit.get_grant_model(),
    toolkit.get_id_token_model(),
    toolkit.get_device_grant_model(),
):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


class ClientForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(
        choices=[(scope, f"{scope}: {what}") for scope, what in SCOPES.items()],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )

    class Meta:
        model = Client
        fields = ("name", "scopes")


@admin.register(Client)
class ClientAdmin(ModelAdmin):  # type: ignore[misc]
    form = ClientForm
    list_display = ("name", "client_id", "scopes", "created")
    search_fields = ("name", "client_id")
    fields: ClassVar[Any] = ("name", "client_id", "scopes", "created", "updated")
    readonly_fields = ("client_id", "created", "updated")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
