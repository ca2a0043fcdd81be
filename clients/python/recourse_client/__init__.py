"""Recourse's gate, for senders: nothing goes out that it did not allow."""

from recourse_client.clock import Clock
from recourse_client.feed import Feed
from recourse_client.local_copy import LocalCopy
from recourse_client.messages import Decision, Failed, Item, NotHandedOver, Outcome, Permit, Reason, State
from recourse_client.reading import Line
from recourse_client.records import message_record
from recourse_client.sending import Sender

__all__ = [
    "Clock",
    "Decision",
    "Failed",
    "Feed",
    "Item",
    "Line",
    "LocalCopy",
    "NotHandedOver",
    "Outcome",
    "Permit",
    "Reason",
    "Sender",
    "State",
    "message_record",
]
