"""Reading the forms of a page as a browser would."""

from __future__ import annotations

from demo.desk import forms_of

PAGE = """
<form action="/search"><input name="q" value=""></form>
<form method="post" action="/act/decide/">
  <input type="hidden" name="csrfmiddlewaretoken" value="t&amp;1">
  <input type="checkbox" name="later" value="yes">
  <select name="reason"><option value="">Choose</option><option value="a">One <b>way</b></option></select>
  <textarea name="explanation">as it
was</textarea>
  <button name="outcome" value="upheld">Uphold</button>
</form>
<input name="outside" value="no form's">
"""


def test_a_form_has_what_a_browser_would_send_without_its_buttons():
    search, decide = forms_of(PAGE)
    assert (search.action, search.fields) == ("/search", {"q": ""})
    assert decide.action == "/act/decide/"
    assert decide.fields == {"csrfmiddlewaretoken": "t&1", "explanation": "as it\nwas"}
    assert decide.options == {"reason": {"": "Choose", "a": "One way"}}
