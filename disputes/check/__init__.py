"""The check: the account at an instant, the criteria of a message, the verdict table. Pure: no Django, no database."""
