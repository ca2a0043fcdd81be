"""Money: a decimal amount with its ISO 4217 currency."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

# ISO 4217, active codes whose minor unit is not two digits; all others below have two.
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_TWO_DECIMALS = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP "
    "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
    "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN "
    "NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
    "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW ZWG"
)
DECIMALS: dict[str, int] = {
    **dict.fromkeys(_NO_DECIMALS.split(), 0),
    **dict.fromkeys(_TWO_DECIMALS.split(), 2),
    **dict.fromkeys(_THREE_DECIMALS.split(), 3),
}

# At most 15 digits before the point and three after it: what numeric(18,3) holds.
AMOUNT_PATTERN = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,3})?$"
_AMOUNT = re.compile(AMOUNT_PATTERN, re.ASCII)


def parse_amount(text: str) -> Decimal:
    """Reads a plain, non-negative decimal string such as ``"1280.50"``.

    Raises ValueError for anything else: a sign, an exponent, digits of other scripts, more than three decimals.
    """
    if not isinstance(text, str) or not _AMOUNT.fullmatch(text):
        raise ValueError("not a plain decimal amount with at most 15 digits and three decimals")
    return Decimal(text)


def decimals_of(amount: Decimal) -> int:
    """How many decimals the amount really uses (trailing zeros do not count)."""
    exponent = amount.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def render_amount(amount: Decimal, currency: str) -> str:
    """The amount as a string with the currency's decimals; more are shown where the amount has them."""
    # Nearly every amount is written so already, or with the one zero more that numeric(18,3) adds.
    text, places = str(amount), DECIMALS.get(currency, 2)
    if places and text[-places - 1 : -places] == ".":
        return text
    if places == 2 and text[-4:-3] == "." and text[-1] == "0":
        return text[:-1]
    return f"{amount:.{max(places, decimals_of(amount))}f}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Money:
    """An amount with its currency. ``amount`` never has more decimals than the currency."""

    amount: Decimal
    currency: str

    @classmethod
    def parse(cls, *, amount: str, currency: str) -> Money:
        """Raises ValueError, naming what is wrong, for an unknown currency or too many decimals."""
        if currency not in DECIMALS:
            raise ValueError(f"unknown currency {currency!r}")
        value = parse_amount(amount)
        if decimals_of(value) > DECIMALS[currency]:
            raise ValueError(f"more decimals than {currency} has ({DECIMALS[currency]})")
        return cls(amount=value, currency=currency)

    def as_json(self) -> dict[str, str]:
        return {"amount": render_amount(self.amount, self.currency), "currency": self.currency}
