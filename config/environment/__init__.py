"""The settings that an operator may give: declared, read, checked and documented from here.

Pure but for `keeping`, which makes files.
"""

from config.environment.checking import read
from config.environment.declared import SETTINGS, Setting, table
from config.environment.keeping import home_secret, new_data_keys, write_private
from config.environment.modes import EMBEDDED, PRODUCTION, ROOT, TEST, home, is_embedded, mode_of
from config.environment.reading import Unusable, data_keys, database, mail_server

__all__ = [
    "EMBEDDED",
    "PRODUCTION",
    "ROOT",
    "SETTINGS",
    "TEST",
    "Setting",
    "Unusable",
    "data_keys",
    "database",
    "home",
    "home_secret",
    "is_embedded",
    "mail_server",
    "mode_of",
    "new_data_keys",
    "read",
    "table",
    "write_private",
]
