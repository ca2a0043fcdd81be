"""Policy packs, contact hours, calendar terms. Pure: no Django, no database."""
