"""The pages without a browser: who may see and do what on them, and what is in their HTML."""

from __future__ import annotations

import json
import re
from html import unescape
from urllib.parse import quote, unquote

import pytest
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from sweeper.service.pages import sweep_list
from sweeper.service.pages.entrance import own_path
from sweeper.service.people.guard import COOKIE
from sweeper.service.state import accounts, sweeps
from sweeper.service.state.tables import Lease
from tests.service import studies
from tests.service.conftest import ADDRESS, SMALL, Lab

HTML = {"accept": "text/html"}
FOR_ALL = (
    "/",
    "/?q=swe&state=queued&mine=true",
    "/new",
    "/new?preset=dcgan",
    "/new?sweep=swept",
    "/new?sweep=swept&trial=1",
    "/queue",
    "/machines",
    "/parts",
    "/parts?q=nothing-is-called-this",
    "/tokens",
    "/notices",
    "/compare",
    "/compare?sweep=swept&trial=swept/0&trial=swept/1",
    "/sweeps/swept",
    "/sweeps/waiting",
    "/sweeps/swept/trials?sort=loss&down=true&q=search&first=1",
    "/sweeps/swept/trials/0",
    "/sweeps/swept/trials/1",
    *(
        f"/sweeps/swept?part={part}"
        for part in ("leaderboard", "steps", "parallel", "parameters", "matters", "tables")
    ),
    *(
        f"/sweeps/swept?part={part}"
        for part in ("about", "headline", "stops", "gallery", "protocol", "winner", "again")
    ),
)
FOR_ADMINS = ("/people", "/audit")


@pytest.fixture
def swept(lab: Lab) -> Lab:
    """A service with a sweep of bo's of which some trials are over, and one that waits."""
    row = lab.submit("bo", "swept", trials=4)
    ledger = studies.begin(lab.service.settings.home.sweep("swept"), row)
    studies.run(ledger, ["completed", "completed", "failed", "running"])
    lab.submit("cy", "waiting")
    return lab


def signed_in(lab: Lab, person: str) -> tuple[TestClient, str]:
    """A client with a browser's cookie, and the CSRF token of its forms."""
    client = lab.client()
    answer = client.post("/login", data={"token": lab.tokens[person], "next": "/"})
    assert answer.status_code == 303
    csrf = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/").text)
    assert csrf
    return client, csrf[1]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["waiting", "swept"]),
        ("?q=WAIT cy", ["waiting"]),
        ("?q=wait bo", []),
        ("?state=active", ["waiting", "swept"]),
        ("?state=ended", []),
        ("?state=queued&mine=true", ["swept"]),
        ("?first=1", ["swept"]),
        ("?first=99", ["waiting", "swept"]),
        ("?state=never", []),
    ],
)
def test_the_list_shows_what_is_asked_for(swept: Lab, query: str, names: list[str]) -> None:
    html = swept.client("bo").get(f"/{query}", headers={**HTML, "hx-request": "true"}).text
    assert re.findall(r'<a[^>]* href="/sweeps/(\w+)"', html) == names


def test_a_last_page_whose_rows_are_gone_shows_the_one_before(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_list, "SHOWN", 2)
    for name in ("a", "b"):
        lab.submit("bo", name)
    html = lab.client("bo").get("/?first=2").text
    assert [f'href="/sweeps/{name}"' in html for name in ("a", "b")] == [True, True]


def test_every_page_is_there_and_needs_nothing_from_elsewhere(swept: Lab) -> None:
    client = swept.client("ada")
    for path in FOR_ALL + FOR_ADMINS:
        for headers in (HTML, {**HTML, "hx-request": "true"}):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 200, path
            scripts = re.findall(r"<script[^>]*>", answer.text)
            assert all(' src="/static/' in script for script in scripts), path
            assert not re.search(r"<[^>]+\son\w+=", answer.text), path
            sources = re.findall(r'(?:src|hx-get|hx-post|action)="([^"]*)"', answer.text)
            assert all(source.startswith("/") for source in sources), path


def test_admins_pages_are_for_admins(swept: Lab) -> None:
    for path in FOR_ADMINS:
        assert swept.client("bo").get(path, headers=HTML).status_code == 403
    for before in (0, 1 << 53, 10**23):
        answer = swept.client("ada").get(f"/audit?before={before}", headers=HTML)
        assert (answer.status_code, "query.before" in answer.text) == (422, True), before


def test_what_is_not_there_is_said_in_words(swept: Lab) -> None:
    client = swept.client("dee")
    answer = client.get("/sweeps/swpt", headers=HTML)
    assert answer.status_code == 404
    assert "did you mean 'swept'?" in unescape(answer.text)
    for path in (
        "/never",
        "/sweeps/swept/trials/9",
        "/sweeps/swept?part=never",
        "/sweeps/swept/tables/never",
        "/sweeps/swept/charts/steps?objective=1",
        "/compare?trial=swept/9",
        "/compare?sweep=swpt",
    ):
        answer = client.get(path, headers=HTML)
        assert (answer.status_code, "<h1>" in answer.text) == (404, True), path
    for path in (
        "/compare?trial=swept",
        "/compare?" + 7 * "sweep=swept&",
        "/sweeps/swept?part=%00",
        "/?q=" + 1100 * "a+",
    ):
        assert client.get(path, headers=HTML).status_code == 422, path
    assert "at most 200 characters" in client.get("/?q=" + 201 * "a", headers=HTML).text
    assert client.get("/never").headers["content-type"] == "application/problem+json"


def test_a_section_that_has_not_changed_is_not_sent_again(swept: Lab) -> None:
    client = swept.client("dee")
    first = client.get("/sweeps/swept?part=leaderboard", headers={"hx-request": "true"})
    again = {"hx-request": "true", "if-none-match": first.headers["etag"]}
    assert client.get("/sweeps/swept?part=leaderboard", headers=again).status_code == 304
    whole = client.get("/sweeps/swept?part=leaderboard", headers={**again, "hx-request": "false"})
    assert (whole.status_code, whole.headers["cache-control"]) == (200, "no-store")


def test_a_sweep_whose_study_is_damaged_has_a_page_all_the_same(swept: Lab) -> None:
    journal = swept.service.settings.home.sweep("swept").study_journal
    journal.write_bytes(b"not a journal\n" * 9)
    answer = swept.client("bo").get("/sweeps/swept", headers=HTML)
    assert answer.status_code == 200
    assert 'role="alert"' in answer.text
    assert "Cancel" in answer.text


def test_text_of_people_is_text(lab: Lab) -> None:
    hostile = "<script>alert(1)</script>\x1b[2J\u202e"
    submitted = lab.submit("bo", "named")
    with lab.database.writing() as session:
        row = session.merge(submitted)
        row.description = hostile
        lease = session.get_one(Lease, row.id)
        lease.reason = lease.message = hostile
        accounts.add_token(session, lab.person("ada"), hostile, accounts.Scope.READ)
    client = lab.client("ada")
    for path in ("/", "/queue", "/sweeps/named", "/tokens", f"/parts?q={quote(hostile)}", "/new"):
        text = client.get(path, headers=HTML).text
        assert "<script>alert" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text


# Signing in -------------------------------------------------------------------------------------


def test_a_browser_signs_in_and_out(lab: Lab) -> None:
    client = lab.client()
    assert client.get("/login?next=/queue").status_code == 200
    wrong = client.post("/login", data={"token": "swp_x_y"})
    assert (wrong.status_code, "not valid" in wrong.text) == (401, True)
    right = client.post("/login", data={"token": f" {lab.tokens['dee']}\n", "next": "/queue?a=b"})
    assert (right.status_code, right.headers["location"]) == (303, "/queue?a=b")
    cookie = right.headers["set-cookie"].lower()
    assert "httponly" in cookie
    # A link in a notice leads in; what another site's page sends is refused by Origin and CSRF.
    assert "samesite=lax" in cookie
    again = client.get("/login?next=/sweeps/small")
    assert (again.status_code, again.headers["location"]) == (303, "/sweeps/small")
    assert lab.tokens["dee"] not in cookie
    page = client.get("/queue").text
    csrf = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert csrf
    assert lab.tokens["dee"] not in page
    words = client.cookies[COOKIE]
    out = client.post("/logout", data={"csrf_token": csrf[1]})
    # It is a token to read: signing out must be possible all the same.
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    client.cookies.set(COOKIE, words)
    assert client.get("/queue").status_code == 401
    assert client.get("/login?next=/queue").status_code == 200


def test_whom_a_proxy_s_own_password_shuts_out_is_not_led_in_circles(lab: Lab) -> None:
    client, _ = signed_in(lab, "bo")
    client.headers["authorization"] = "Basic Ym86cHc="
    asked = client.get("/queue", headers=HTML)
    assert (asked.status_code, asked.headers["location"]) == (303, "/login?next=%2Fqueue")
    assert client.get(asked.headers["location"]).status_code == 200


def test_an_address_that_guesses_at_the_entrance_is_stopped(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.service.people.attempts.WINDOW", 1e6)  # on a slow machine, too
    client = lab.client()
    answers = [client.post("/login", data={"token": "swp_x_y"}).status_code for _ in range(11)]
    assert answers == [401] * 10 + [429]
    # Whoever has a token is let in all the same: others behind one address may be the ones.
    assert client.post("/login", data={"token": lab.tokens["ada"]}).status_code == 303


@pytest.mark.parametrize(
    ("given", "led"),
    [
        ("/sweeps/a?part=b", "/sweeps/a?part=b"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/x", "/"),
        ("javascript:alert(1)", "/"),
        ("evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/%5cevil.example", "/%5cevil.example"),
        ("", "/"),
        ("/login", "/"),
        ("//[", "/"),
        ("http://[evil", "/"),
    ],
)
def test_signing_in_leads_nowhere_else(given: str, led: str) -> None:
    assert own_path(given) == led


# Doing ------------------------------------------------------------------------------------------


def test_buttons_do_what_they_say_to_one_s_own(swept: Lab) -> None:
    client, csrf = signed_in(swept, "bo")
    for wanted in ("pause", "resume", "stop", "cancel"):
        answer = client.post(f"/sweeps/swept/{wanted}", data={"csrf_token": csrf})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sweeps/swept"), wanted
    assert client.post("/sweeps/swept/pause").status_code == 403  # no CSRF token
    assert client.post("/sweeps/swept/never", data={"csrf_token": csrf}).status_code == 422
    other = client.post("/sweeps/waiting/cancel", data={"csrf_token": csrf}, headers=HTML)
    assert (other.status_code, "cy&#39;s" in other.text) == (403, True)
    stopped = client.post("/sweeps/swept/trials/3/stop", data={"csrf_token": csrf})
    assert stopped.headers["location"] == "/sweeps/swept/trials/3"
    assert "stop was requested (stopped by bo)" in client.get("/sweeps/swept/trials/3").text
    over = client.post("/sweeps/swept/trials/0/stop", data={"csrf_token": csrf}, headers=HTML)
    assert (over.status_code, "<h1>Not possible now</h1>" in over.text) == (409, True)
    gone = client.post("/sweeps/swept/delete", data={"csrf_token": csrf})
    assert (gone.status_code, gone.headers["location"]) == (303, "/")
    assert "/sweeps/swept" not in client.get("/").text


def test_limits_are_changed_by_a_form(swept: Lab) -> None:
    client, csrf = signed_in(swept, "bo")
    form = {"csrf_token": csrf, "trials": "9", "parallel": "2", "priority": "high"}
    assert client.post("/sweeps/swept/change", data=form).status_code == 303
    page = client.get("/sweeps/swept/change").text
    assert 'name="trials" inputmode="decimal" size="8" value="9"' in page
    assert "<option selected>high</option>" in page
    wrong = client.post("/sweeps/swept/change", data={**form, "trials": "many"}, headers=HTML)
    assert (wrong.status_code, "limits.trials" in wrong.text) == (422, True)
    lower = {**form, "trials": "1", "again": "on", "description": "lost"}
    assert client.post("/sweeps/swept/change", data=lower, headers=HTML).status_code == 422
    assert "lost" not in client.get("/sweeps/swept/change").text
    kept = {"csrf_token": csrf, "trials": "9", "parallel": "2", "description": "kept"}
    assert client.post("/sweeps/swept/change", data={**kept, "again": "on"}).status_code == 303
    assert "kept" in client.get("/sweeps/swept/change").text


def _filled(html: str) -> dict[str, str]:
    """What a browser sends of a page's form where nobody touches it."""
    form = re.search(r'<form class="form".*?</form>', html, re.S)[0]
    sent = dict(re.findall(r'<input(?: type="hidden")? name="([^"]+)"[^>]* value="([^"]*)"', form))
    sent |= re.findall(r'<input type="checkbox" name="([^"]+)" value="([^"]*)" checked', form)
    sent |= re.findall(r'<select name="([^"]+)">.*?<option selected>(.*?)</option>', form, re.S)
    sent |= re.findall(r'<textarea name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.S)
    return {name: unescape(value).replace("\n", "\r\n") for name, value in sent.items()}


def test_a_form_changes_what_was_changed_in_it_and_nothing_else(swept: Lab) -> None:
    client, _ = signed_in(swept, "bo")
    api, there = swept.client("bo"), "/sweeps/swept/change"

    def change(**changes: object) -> None:
        assert api.patch("/api/v1/sweeps/swept", json=changes).is_success

    def told() -> list[object]:
        found = api.get("/api/v1/events?sweep=swept&limit=1000").json()["events"]
        return [event["data"] for event in found if event["kind"] == "changed"]

    change(description="line one\nline two \x1b\n", limits={"trials": 12, "parallel": 8})
    before = told()
    form = _filled(client.get(there).text)
    assert client.post(there, data=form).status_code == 303
    assert told() == before
    # Somebody else is at it, too.
    change(priority="high", limits={"trials": 50})
    assert client.post(there, data={**form, "description": "other words"}).status_code == 303
    now = api.get("/api/v1/sweeps/swept").json()
    assert (now["limits"]["trials"], now["priority"]) == (50, "high")
    assert now["description"] == "other words"
    # Where both changed the same, it is asked once more.
    again = client.post(there, data={**form, "trials": "20"}, headers=HTML)
    assert again.status_code == 422
    assert "limits.trials</code>: was changed meanwhile, to 50" in again.text
    assert client.post(there, data=_filled(again.text)).status_code == 303
    now = api.get("/api/v1/sweeps/swept").json()
    assert (now["limits"]["trials"], now["priority"]) == (20, "high")
    # A limit that a sweep always has is not taken away.
    form = _filled(client.get(there).text)
    empty = client.post(there, data={**form, "parallel": ""}, headers=HTML)
    assert (empty.status_code, "limits.parallel</code>: is empty" in empty.text) == (422, True)
    assert api.get("/api/v1/sweeps/swept").json()["limits"]["parallel"] == 8


def test_an_ended_sweep_goes_on_where_its_form_says_so(swept: Lab) -> None:
    client, _ = signed_in(swept, "bo")
    with swept.database.writing() as session:
        entry = sweeps.entry_named(session, "swept")
        entry.sweep.wanted, entry.lease.state = "stop", "stopped"
    form = _filled(client.get("/sweeps/swept/change").text)
    corrected = {**form, "description": "without the typo"}
    assert client.post("/sweeps/swept/change", data=corrected).status_code == 303
    assert swept.client("bo").get("/api/v1/sweeps/swept").json()["wanted"] == "stop"
    wrong = {**form, "trials": "abc", "again": "true"}
    answer = client.post("/sweeps/swept/change", data=wrong, headers=HTML)
    assert (answer.status_code, "limits.trials" in answer.text) == (422, True)
    words = {"landing": "evaluation", "trial_silence": "3600"}
    asked = {**form, **words, "trials": "9", "again": "true"}
    assert client.post("/sweeps/swept/change", data=asked).status_code == 303
    now = swept.client("bo").get("/api/v1/sweeps/swept").json()
    assert now["wanted"] == "run"
    assert now["limits"]["landing"] == "evaluation"
    assert now["limits"]["trial_silence"] == 3600


def test_a_configuration_of_one_s_own_is_tried_by_a_form(swept: Lab) -> None:
    client, csrf = signed_in(swept, "bo")
    there = "/sweeps/swept/enqueue"
    for page, begins_with in ((there, "0.0002"), (f"{there}?trial=1", _rate_of(client, 1))):
        text = unescape(
            re.search(r"<textarea[^>]*>(.*?)</textarea>", client.get(page).text, re.S)[1]
        )
        assert text == f"optimizer.generator.lr: {begins_with}\n"
    assert f"{there}?trial=1" in client.get("/sweeps/swept/trials/1").text
    form = {"csrf_token": csrf, "text": "optimizer.generator.lr: 0.0001\r\n"}
    assert client.post(there, data=form).headers["location"] == there
    page = client.get(there).text
    assert "optimizer.generator.lr: 0.0001</td>" in page
    assert "the driver has not processed it yet" in page
    for text, words in (
        ("optimizer.generator.lr: 5.0", "is not one of"),
        ("optimizer.lr: 0.0001", "is not a parameter of this sweep; did you mean"),
        ("- 1", "is not a mapping"),
        ("a: [", "not YAML"),
        ("optimizer.generator.lr: 0.0001\noptimizer.generator.lr: 0.0002", "<b>line 2</b>"),
    ):
        wrong = client.post(there, data={**form, "text": text}, headers=HTML)
        assert (wrong.status_code, words in unescape(wrong.text)) == (422, True), wrong.text
        assert text in unescape(wrong.text)  # what was written is not lost
    assert client.post(there, data={"text": ""}).status_code == 403  # no CSRF token
    assert signed_in(swept, "cy")[0].get(there, headers=HTML).status_code == 403


def _rate_of(client: TestClient, number: int) -> str:
    trial = client.get(f"/api/v1/sweeps/swept/trials/{number}").json()
    return str(trial["values"]["optimizer.generator.lr"])


def test_a_sweep_is_submitted_once_however_often_the_button_is_pressed(lab: Lab) -> None:
    client, csrf = signed_in(lab, "bo")
    text = unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", client.get("/new").text, re.S)[1])
    form = {"csrf_token": csrf, "text": text.replace("\n", "\r\n"), "key": "one"}
    for _ in range(2):
        answer = client.post("/new", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sweeps/my-sweep")
    wrong = client.post("/new", data={**form, "key": "two", "text": "name: x\nbse: {}\n"})
    assert wrong.status_code == 422
    assert "line 2" in wrong.text
    assert "bse: {}" in wrong.text


def test_a_sweep_that_is_refused_leaves_its_text_in_the_editor(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, csrf = signed_in(lab, "bo")
    lab.submit("cy", "taken")
    form = {"csrf_token": csrf, "key": "one", "priority": "high"}

    def submitted(text: str) -> tuple[int, str]:
        answer = client.post("/new", data={**form, "text": text}, headers=HTML)
        if answer.status_code != 303:
            assert text in unescape(answer.text)
            assert "<option selected>high</option>" in answer.text
            assert 'name="key" value="one"' not in answer.text
        return answer.status_code, unescape(answer.text)

    text = json.dumps({**SMALL, "name": "taken"})
    status, shown = submitted(text)
    assert status == 409
    assert "there is a sweep named 'taken' already, of cy: resume that one" in shown
    assert submitted(text.replace("taken", "free"))[0] == 303
    assert submitted(text.replace("taken", "freer"))[0] == 303  # back, and another text
    monkeypatch.setattr(sweeps, "MOST_SWEEPS", 2)
    status, shown = submitted(text.replace("taken", "freest"))
    assert (status, "bo has 2 sweeps that wait or run" in shown) == (422, True)


def test_a_token_is_shown_once_and_makes_none_that_may_more(lab: Lab) -> None:
    client, csrf = signed_in(lab, "bo")
    made = client.post("/tokens", data={"csrf_token": csrf, "name": "ci", "scope": "read"})
    words = re.search(r"swp_\w+_[\w-]+", made.text)
    assert words
    assert lab.client().get("/", headers={"authorization": f"Bearer {words[0]}"}).status_code == 200
    page = client.get("/tokens").text
    assert words[0] not in page
    for form in ({"scope": "admin"}, {"scope": "read", "person": "cy"}):
        refused = client.post("/tokens", data={"csrf_token": csrf, "name": "more", **form})
        assert refused.status_code == 403, form
    mine = re.findall(r"/tokens/(\w+)/revoke", page)
    assert client.post(f"/tokens/{mine[0]}/revoke", data={"csrf_token": csrf}).status_code == 303
    assert lab.client().get("/", headers={"authorization": f"Bearer {words[0]}"}).status_code == 401
    other = lab.tokens["cy"].split("_")[1]
    assert client.post(f"/tokens/{other}/revoke", data={"csrf_token": csrf}).status_code == 404


def test_who_may_only_read_is_offered_nothing_that_would_be_refused(swept: Lab) -> None:
    with swept.database.writing() as session:
        person = swept.person("bo")
        swept.tokens["reader"] = accounts.add_token(session, person, "r", accounts.Scope.READ)[1]
    client, _ = signed_in(swept, "reader")
    for path in ("/", "/new", "/tokens", "/notices", "/sweeps/swept", "/sweeps/swept/trials/3"):
        html = client.get(path).text
        writing = set(re.findall(r'<form[^>]* method="post" action="([^"]+)"', html))
        assert writing <= {"/logout", "/new"}, path
        assert ">New sweep</a>" not in html
        assert ">Submit</button>" not in html
    for form in ("change", "enqueue"):
        refused = client.get(f"/sweeps/swept/{form}", headers=HTML)
        assert (refused.status_code, "may only read" in refused.text) == (403, True)


def test_what_can_be_chosen_is_all_there_is_and_is_called_as_it_is_shown(swept: Lab) -> None:
    for number in range(201):
        swept.submit("cy", f"many-{number}")
    client = swept.client("bo")
    for path in ("/new", "/compare"):
        assert '<option value="swept">' in client.get(path, headers=HTML).text, path
    row = swept.submit("bo", "pruned")
    ledger = studies.begin(swept.service.settings.home.sweep("pruned"), row)
    studies.run(ledger, ["pruned"])
    page = client.get("/sweeps/pruned/trials?state=pruned", headers=HTML).text
    assert '<option value="pruned" selected>stopped early</option>' in page


def test_an_admin_shuts_out_anybody_s_token(lab: Lab) -> None:
    client, csrf = signed_in(lab, "ada")
    form = {"csrf_token": csrf, "name": "gone astray", "scope": "read", "person": "bo"}
    words = re.search(r"swp_\w+_[\w-]+", client.post("/tokens", data=form).text)[0]
    there = f"/tokens/{words.split('_')[1]}/revoke"
    page = client.get("/tokens").text
    assert "<td>bo</td><td>gone astray" in page
    assert there in page
    assert "Revoke gone astray of bo? Everything that uses it loses access." in page
    assert client.post(there, data={"csrf_token": csrf}).status_code == 303
    assert lab.client().get("/", headers={"authorization": f"Bearer {words}"}).status_code == 401
    assert "gone astray" not in signed_in(lab, "cy")[0].get("/tokens").text


def test_all_tokens_are_read_at_once_however_many_people_have_some(lab: Lab) -> None:
    client, _ = signed_in(lab, "ada")
    asked: list[str] = []
    note = lambda *given: asked.append(given[2])  # noqa: E731 - of what SQLAlchemy says, the words
    event.listen(Engine, "before_cursor_execute", note)
    try:
        client.get("/tokens")
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert sum("FROM tokens" in words for words in asked) <= 2  # who asks, and all of them


def test_admins_keep_people(lab: Lab) -> None:
    client, csrf = signed_in(lab, "ada")
    form = {"csrf_token": csrf, "weight": "3", "max_parallel": "4", "max_gpus": ""}
    assert client.post("/people/bo", data=form).status_code == 303
    bo = lab.person("bo")
    assert (bo.weight, bo.max_parallel, bo.max_gpus) == (3.0, 4, None)
    for given in ({"weight": ""}, {"weight": "heavy"}, {"max_gpus": "-1"}):
        assert client.post("/people/bo", data={**form, **given}).status_code == 422, given
    assert client.post("/people", data={"csrf_token": csrf, "name": "eve"}).status_code == 303
    assert client.post("/people", data={"csrf_token": csrf, "name": "eve"}).status_code == 422
    audit = client.get("/audit").text
    assert "add a person" in audit
    assert "weight 3.0" in audit
    cy, csrf = signed_in(lab, "cy")
    assert cy.post("/people/bo", data={**form, "csrf_token": csrf}).status_code == 403


def test_pages_are_of_this_server(lab: Lab) -> None:
    answer = lab.client("dee").get("/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert ADDRESS not in unquote(answer.text)
    for name in ("report.css", "sortable.js", "app.js", "vendor/htmx-4.0.1.min.js"):
        assert lab.client().get(f"/static/{name}").status_code == 200
    for path in ("/static/../app.py", "/static/%2e%2e/install.py", "/static/vendor"):
        assert lab.client().get(path).status_code in (401, 404)
