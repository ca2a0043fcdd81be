"""What looks impossible among the records, one statement each, and what it means for checks.

A statement selects one column, `id`, a row a case: ids alone, nothing personal. It reads what is known now (each
record's highest version, but of those that are void) unless it says otherwise. An instant is compared with a day only
where the answer is the same in every time zone: nothing is told that one hour here or there would explain.
"""

from __future__ import annotations

from dataclasses import dataclass

from disputes.records.models import RECORD_TYPES, VERSIONS


@dataclass(frozen=True, kw_only=True, slots=True)
class Impossible:
    """`meaning`: what it means for checks, and what to do. `statement`: its parameters are ``%(codes)s`` and
    ``%(decimals)s``, currencies with their decimals."""

    name: str
    meaning: str
    statement: str


def _table(type_: str) -> str:
    return VERSIONS[type_]._meta.db_table


def _now(type_: str, columns: str) -> str:
    """Each standing record of a type, as known now."""
    return f"""(
        SELECT * FROM (
            SELECT DISTINCT ON (external_id) external_id, {columns} FROM {_table(type_)}
            ORDER BY external_id, version DESC, posted_at DESC, content DESC
        ) head
        WHERE NOT EXISTS (SELECT FROM disputes_voided d WHERE d.type = '{type_}' AND d.external_id = head.external_id)
    )"""


def _missing(type_: str, id_: str) -> str:
    """That no line of a record ever came."""
    return f"NOT EXISTS (SELECT FROM {_table(type_)} v WHERE v.external_id = {id_})"


def _names(type_: str, loan: str) -> str:
    return f"""EXISTS (
        SELECT FROM {_table(type_)} v WHERE v.loan = {loan}
        AND NOT EXISTS (SELECT FROM disputes_voided d WHERE d.type = '{type_}' AND d.external_id = v.external_id)
    )"""


# The first instant of a day anywhere: where the clocks are 14 hours ahead.
_BEGINS = "(({day})::timestamp AT TIME ZONE 'UTC' - interval '14 hours')"
_SCALE = "JOIN unnest(%(codes)s::text[], %(decimals)s::int[]) AS scale(code, decimals) ON scale.code = {currency}"
_PARTS = ("principal", "interest", "fees", "penalties")
_SUM_OF_PARTS = " + ".join(f"coalesce({part}, 0)" for part in _PARTS)

LOANS: tuple[Impossible, ...] = (
    Impossible(
        name="loan_missing",
        meaning="Instalments, repayments or messages name a loan that never came: its disputes cannot be checked, and "
        "the gate denies it. Send the loan, or put the reference right.",
        statement=f"""
            SELECT l.external_id AS id FROM disputes_loan l
            WHERE l.first_received_at IS NULL AND ({
            " OR ".join(_names(type_, "l.external_id") for type_ in ("instalment", "repayment", "message"))
        })
        """,
    ),
    Impossible(
        name="customer_missing",
        meaning="The loan's customer never came: nobody's phone is known, so a check cannot tell whom a message "
        "reached. Send the customer.",
        statement=f"""
            SELECT l.external_id AS id FROM disputes_loan l
            WHERE l.customer IS NOT NULL AND {_missing("customer", "l.customer")}
        """,
    ),
    Impossible(
        name="shared_phone",
        meaning="One phone is the own phone of two customers at the same time: a message to one may reach the other, "
        "and a hold of the phone holds both. Give the phone an end with its former owner.",
        statement="""
            SELECT min(customer) || ' ' || max(customer) AS id
            FROM (
                SELECT digest, customer,
                       max(coalesce(until, 'infinity')) OVER (
                           PARTITION BY digest ORDER BY coalesce(first, '-infinity'), customer
                           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                       ) >= coalesce(first, '-infinity') AS meets
                FROM disputes_customerphone WHERE role = 'own'
            ) own
            GROUP BY digest HAVING bool_or(meets) AND count(DISTINCT customer) > 1
        """,
    ),
    Impossible(
        name="settled_with_something_unpaid",
        meaning="The loan is settled, yet its schedule is not paid beyond the tolerance. A check takes it as settled. "
        "Where the rest was forgiven that is right; else the settlement or a repayment is wrong.",
        statement="""
            SELECT l.external_id AS id FROM disputes_loan l
            WHERE l.settled_on IS NOT NULL
              AND (SELECT sum(one) FROM unnest(l.amount) AS one) - l.paid > l.tolerance
        """,
    ),
)

SCHEDULES: tuple[Impossible, ...] = (
    Impossible(
        name="schedule_not_the_principal",
        meaning="The principal parts of the schedule do not add up to the loan's principal (where no parts are given: "
        "the amounts do not reach it). Arrears may be too high or too low: an instalment is missing, doubled or wrong.",
        statement=f"""
            SELECT l.external_id AS id
            FROM {_now("loan", "principal, tolerance, currency")} l
            {_SCALE.format(currency="l.currency")}
            JOIN (
                SELECT loan, count(*) AS lines, count(principal) AS with_part, sum(principal) AS parts,
                       sum(amount) AS amounts, count(coalesce(interest, fees, penalties)) AS others
                FROM {_now("instalment", "loan, amount, principal, interest, fees, penalties")} i GROUP BY loan
            ) s ON s.loan = l.external_id
            CROSS JOIN LATERAL (SELECT greatest(l.tolerance, s.lines * power(10::numeric, -scale.decimals))) AS by(most)
            WHERE (s.with_part = s.lines AND abs(s.parts - l.principal) > by.most)
               OR (s.with_part = 0 AND s.others = 0 AND l.principal - s.amounts > by.most)
        """,
    ),
    Impossible(
        name="parts_not_the_amount",
        meaning="The parts of an instalment do not add up to its amount. Checks go by the amount, so what a wrong "
        "amount is explained by may be off. Put the parts right.",
        statement=f"""
            SELECT i.external_id AS id FROM {_now("instalment", "amount, principal, interest, fees, penalties")} i
            WHERE coalesce({", ".join(_PARTS)}) IS NOT NULL AND {_SUM_OF_PARTS} <> amount
        """,
    ),
    Impossible(
        name="number_used_twice",
        meaning="Two instalments of a loan have the same number and both count, so that its arrears may be too high. "
        "Void the one that was replaced, or send it under the other's id.",
        statement=f"""
            SELECT loan || ' ' || number AS id FROM {_now("instalment", "loan, number")} i
            GROUP BY loan, number HAVING count(*) > 1
        """,
    ),
    Impossible(
        name="due_before_the_loan",
        meaning="An instalment is due before its loan was opened: it counts as overdue from then on. Put its due date "
        "or the loan's opening right.",
        statement=f"""
            SELECT i.external_id AS id FROM {_now("instalment", "loan, due_on")} i
            JOIN {_now("loan", "opened_on")} l ON l.external_id = i.loan WHERE i.due_on < l.opened_on
        """,
    ),
)

PAYMENTS: tuple[Impossible, ...] = (
    Impossible(
        name="paid_before_the_loan",
        meaning="A repayment was made before its loan was opened: it counts towards the first instalments. The date or "
        "the loan is likely wrong.",
        statement=f"""
            SELECT r.external_id AS id FROM {_now("repayment", "loan, paid_at, paid_on")} r
            JOIN {_now("loan", "opened_on")} l ON l.external_id = r.loan
            WHERE r.paid_on < l.opened_on OR r.paid_at < {_BEGINS.format(day="l.opened_on")}
        """,
    ),
    Impossible(
        name="reversal_of_nothing",
        meaning="A reversal names a repayment that never came: once it comes it counts as reversed, and until then the "
        "reversal does nothing. Send the repayment, or put the reference right.",
        statement=f"""
            SELECT u.external_id AS id FROM {_now("reversal", "repayment")} u
            WHERE {_missing("repayment", "u.repayment")}
        """,
    ),
    Impossible(
        name="reversed_before_it_was_paid",
        meaning="A repayment was reversed before it was made, so it never counts. One of the two dates is wrong.",
        statement=f"""
            SELECT u.external_id AS id FROM {_now("reversal", "repayment, reversed_at")} u
            JOIN {_now("repayment", "paid_at, paid_on")} r ON r.external_id = u.repayment
            WHERE u.reversed_at < r.paid_at OR u.reversed_at < {_BEGINS.format(day="r.paid_on")}
        """,
    ),
    Impossible(
        name="more_decimals_than_the_currency",
        meaning="An amount has more decimals than its currency. Figures are right to the last of them, but no customer "
        "can pay or read them. Round where the records are made.",
        statement=" UNION ALL ".join(
            f"""
            SELECT '{type_} ' || x.external_id AS id FROM {_now(type_, ", ".join((*of, *amounts)))} x
            {join} {_SCALE.format(currency=currency)}
            WHERE {" OR ".join(f"x.{one} <> round(x.{one}, scale.decimals)" for one in amounts)}
            """
            for type_, of, amounts, join, currency in (
                ("loan", ("currency",), ("principal", "tolerance"), "", "x.currency"),
                *(
                    (type_, ("loan",), amounts, "JOIN disputes_loan l ON l.external_id = x.loan", "l.currency")
                    for type_, amounts in (
                        ("instalment", ("amount", *_PARTS)),
                        ("repayment", ("amount",)),
                        ("message", ("claimed_amount",)),
                    )
                ),
            )
        ),
    ),
)

MESSAGES: tuple[Impossible, ...] = (
    Impossible(
        name="message_to_nobody",
        meaning="A message went to a phone that no customer has or had: a check takes it as sent to a stranger, and "
        "finds for whoever says so. Send the phones of the customers, also former ones.",
        statement="""
            SELECT m.external_id AS id FROM disputes_message m
            WHERE NOT m.voided AND m.phone_digest IS NOT NULL
              AND NOT EXISTS (SELECT FROM disputes_customerphoneversion p WHERE p.digest = m.phone_digest)
        """,
    ),
    Impossible(
        name="message_before_the_loan",
        meaning="A message about a loan was sent before the loan was opened: a check finds no arrears, and so for the "
        "customer. The loan or one of the dates is wrong.",
        statement=f"""
            SELECT m.external_id AS id FROM disputes_message m
            JOIN {_now("loan", "opened_on")} l ON l.external_id = m.loan
            WHERE NOT m.voided AND m.sent_at < {_BEGINS.format(day="l.opened_on")}
        """,
    ),
    Impossible(
        name="list_built_after_sending",
        meaning="The sender's list was made after the message went out: a check cannot tell what the list could know. "
        "The two dates are exchanged, or one of them is wrong.",
        statement="""
            SELECT m.external_id AS id FROM disputes_message m WHERE NOT m.voided AND m.list_built_at > m.sent_at
        """,
    ),
    Impossible(
        name="sending_rule_missing",
        meaning="Messages name a sending rule that is not defined, so its aim and the days that it needs are unknown, "
        "and a check cannot call its messages a fault of the rule. Send the rule.",
        statement="""
            SELECT s.external_id AS id FROM disputes_sendingrule s
            WHERE s.aim = ''
              AND EXISTS (SELECT FROM disputes_message m WHERE m.sending_rule = s.external_id AND NOT m.voided)
        """,
    ),
)

VERSIONS_OF_ALL: tuple[Impossible, ...] = (
    Impossible(
        name="void_of_nothing",
        meaning="A void names a record that never came: should it come, it will not count. Mostly the reference or its "
        "type is wrong, and what was meant still counts.",
        statement=f"""
            SELECT x.external_id AS id FROM {_now("void", "target_type, target")} x WHERE {
            " AND ".join(f"(x.target_type <> '{type_}' OR {_missing(type_, 'x.target')})" for type_ in RECORD_TYPES)
        }
        """,
    ),
    Impossible(
        name="version_that_changes_nothing",
        meaning="A version says the same as the one before it, under a later date, as a full dump does that is dated "
        "with its own time. Checks stay right, but the history grows each night: `posted_at` is when the record "
        "changed.",
        statement=" UNION ALL ".join(
            f"""
            SELECT '{type_} ' || external_id AS id FROM (
                SELECT external_id, content,
                       lag(content) OVER (PARTITION BY external_id ORDER BY version, posted_at, content) AS before
                FROM {_table(type_)}
            ) x WHERE content = before
            """
            for type_ in RECORD_TYPES
        ),
    ),
)

ALL: tuple[Impossible, ...] = (*LOANS, *SCHEDULES, *PAYMENTS, *MESSAGES, *VERSIONS_OF_ALL)
"""In the order in which they are told."""
