"""The histories of many plain accounts at once: one JSON text a loan, made by the database and decoded straight into
the check's values. What is not plain takes the way of `disputes.records.histories`; both give the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from django.conf import settings
from django.db import connection

from disputes.check import facts
from disputes.records.building import sending_rule_version
from disputes.records.histories import read_histories


class _Account(msgspec.Struct):
    """A loan's versions, as the database writes them."""

    loans: tuple[facts.LoanVersion, ...]
    instalments: tuple[facts.InstalmentVersion, ...]
    repayments: tuple[facts.RepaymentVersion, ...]
    reversals: tuple[facts.ReversalVersion, ...]


_DECODER = msgspec.json.Decoder(_Account)

_HEAD = "v.external_id, v.version, v.posted_at, v.effective_at, encode(v.content, 'base64') AS content"

_GATHER = f"""
    SELECT one.loan,
        -- A bare day is a payment's start of day in the loan's zone, and a record that moved stands under several.
        EXISTS (SELECT FROM disputes_repaymentversion v WHERE v.loan = one.loan AND v.paid_at IS NULL)
        OR EXISTS (SELECT FROM disputes_moved m WHERE m.under = one.loan)
        OR EXISTS (
            SELECT FROM disputes_repaymentversion v JOIN disputes_moved m ON m.under = v.external_id
            WHERE v.loan = one.loan AND m.type = 'reversal'
        ),
        json_build_object(
            'loans', coalesce((SELECT json_agg(row) FROM (
                SELECT {_HEAD}, v.customer, v.product, v.currency, v.principal::text, v.opened_on,
                    nullif(v.time_zone, '') AS time_zone, v.grace_days, v.tolerance::text, v.allocation, v.settled_on,
                    v.written_off_on,
                    coalesce((
                        SELECT json_agg(json_build_object('first', p -> 'from', 'until', p -> 'until') ORDER BY n)
                        FROM jsonb_array_elements(v.pauses) WITH ORDINALITY AS every (p, n)
                    ), '[]') AS pauses,
                    coalesce((
                        SELECT json_agg(json_build_object(
                            'first', p -> 'from', 'until', p -> 'until', 'kept_until', p -> 'kept_until') ORDER BY n)
                        FROM jsonb_array_elements(v.arrangements) WITH ORDINALITY AS every (p, n)
                    ), '[]') AS arrangements
                FROM disputes_loanversion v WHERE v.external_id = one.loan
            ) AS row), '[]'),
            'instalments', coalesce((SELECT json_agg(row) FROM (
                SELECT {_HEAD}, v.loan, v.number, v.due_on, v.amount::text, v.principal::text, v.interest::text,
                    v.fees::text, v.penalties::text
                FROM disputes_instalmentversion v WHERE v.loan = one.loan
            ) AS row), '[]'),
            'repayments', coalesce((SELECT json_agg(row) FROM (
                SELECT {_HEAD}, v.loan, v.amount::text, v.paid_at, v.method, v.reference
                FROM disputes_repaymentversion v WHERE v.loan = one.loan
            ) AS row), '[]'),
            'reversals', coalesce((SELECT json_agg(row) FROM (
                SELECT {_HEAD}, v.repayment, v.reversed_at, v.reason
                FROM disputes_reversalversion v
                WHERE v.repayment IN (SELECT p.external_id FROM disputes_repaymentversion p WHERE p.loan = one.loan)
            ) AS row), '[]')
        )::text
    FROM unnest(%(loans)s::text[]) AS one (loan)
"""

_RULES = """
    SELECT external_id, version, posted_at, effective_at, content, name, aim, min_dpd, owner
    FROM disputes_sendingruleversion WHERE external_id = ANY(%s)
"""


def gather_histories(*, loans: Iterable[str], sending_rules: Mapping[str, Iterable[str]]) -> dict[str, facts.History]:
    """The history of each loan with the versions of its rules, but for the watermarks. As
    `disputes.records.queries.histories`, with the versions in no order; in a number of statements that does not depend
    on how many are asked."""
    ids = sorted(set(loans))
    with connection.cursor() as cursor:
        cursor.execute(_GATHER, {"loans": ids})
        rows = cursor.fetchall()
        cursor.execute(_RULES, [sorted({rule for rules in sending_rules.values() for rule in rules})])
        rules = [sending_rule_version(row) for row in cursor.fetchall()]
    accounts = {loan: _DECODER.decode(text) for loan, odd, text in rows if not odd}
    found = _with_voids(accounts, rules, sending_rules)
    rest = [loan for loan in ids if loan not in found]
    if rest:
        found |= read_histories(loans=rest, sending_rules=sending_rules)
    return found


def _with_voids(
    accounts: Mapping[str, _Account], rules: list[facts.SendingRuleVersion], wanted: Mapping[str, Iterable[str]]
) -> dict[str, facts.History]:
    """The histories of those of which no record was ever named by a void: nearly all."""
    named = _named_by_voids(
        loan=accounts,
        instalment=[one.external_id for account in accounts.values() for one in account.instalments],
        repayment=[one.external_id for account in accounts.values() for one in account.repayments],
        reversal=[one.external_id for account in accounts.values() for one in account.reversals],
        sending_rule=[one.external_id for one in rules],
    )
    found = {}
    for loan, account in accounts.items():
        asked = set(wanted.get(loan, ()))
        theirs = tuple([rule for rule in rules if rule.external_id in asked])
        if named and not named.isdisjoint(_keys(loan, account, theirs)):
            continue
        found[loan] = facts.History(
            loan=loan,
            lender_time_zone=settings.LENDER_TIME_ZONE,
            loans=account.loans,
            instalments=account.instalments,
            repayments=account.repayments,
            reversals=account.reversals,
            sending_rules=theirs,
        )
    return found


def _named_by_voids(**ids: Iterable[str]) -> set[tuple[str, str]]:
    """Those of these records (by type) that a void has ever named."""
    one = "SELECT '{0}', target FROM disputes_voidversion WHERE target_type = '{0}' AND target = ANY({1})"
    # One text is made and read much faster than an array of so many; no id has a space in it.
    asked = {type_: " ".join(of_type) for type_, of_type in ids.items()}
    statement = " UNION ".join(one.format(type_, f"string_to_array(%({type_})s, ' ')") for type_ in asked)
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        return set(cursor.fetchall())


def _keys(loan: str, account: _Account, rules: Iterable[facts.SendingRuleVersion]) -> set[tuple[str, str]]:
    return {
        ("loan", loan),
        *(("instalment", one.external_id) for one in account.instalments),
        *(("repayment", one.external_id) for one in account.repayments),
        *(("reversal", one.external_id) for one in account.reversals),
        *(("sending_rule", one.external_id) for one in rules),
    }
