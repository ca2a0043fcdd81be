"""Gathers what the rooms define, for Django to find."""
