"""What unfold is told about the desk; config/settings.py takes it in."""

from __future__ import annotations

from typing import Any

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Recourse",
    "SITE_HEADER": "Recourse",
    "SITE_SUBHEADER": "Back office",
    "SITE_SYMBOL": "balance",
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_HISTORY": False,
    "SITE_FAVICONS": [{"rel": "icon", "sizes": "any", "type": "image/svg+xml", "href": "/static/desk/icon.svg"}],
    "STYLES": ["/static/desk/desk.css"],
    "DASHBOARD_CALLBACK": "disputes.desk.admin.home",
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": "disputes.desk.sidebar.navigation"},
    "COLORS": {
        "primary": {
            "50": "oklch(97% .014 254.604)",
            "100": "oklch(93.2% .032 255.585)",
            "200": "oklch(88.2% .059 254.128)",
            "300": "oklch(80.9% .105 251.813)",
            "400": "oklch(70.7% .165 254.624)",
            "500": "oklch(62.3% .214 259.815)",
            "600": "oklch(54.6% .245 262.881)",
            "700": "oklch(48.8% .243 264.376)",
            "800": "oklch(42.4% .199 265.638)",
            "900": "oklch(37.9% .146 265.522)",
            "950": "oklch(28.2% .091 267.935)",
        }
    },
}
