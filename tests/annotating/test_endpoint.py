import pytest

from gaitbench.annotating.arguments import endpoint_config
from gaitbench.annotating.endpoint import Endpoint, EndpointConfig, open_endpoint
from gaitbench.errors import UsageError

KEY = "sk-abcdefgh0123456789"


def at(url: str) -> EndpointConfig:
    return EndpointConfig(model="m", base_url=url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("HTTP://LocalHost:8000/v1/", "http://localhost:8000/v1"),
        (" https://api.example.com:443/v1 ", "https://api.example.com/v1"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("https://h.example/Team-A/v1/chat/completions", "https://h.example/Team-A/v1"),
    ],
)
def test_addresses_have_one_spelling(url: str, expected: str) -> None:
    assert open_endpoint(at(url), "").config.base_url == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://me:geheim@host/v1", "a user name or password"),
        ("http://geheim@host/v1", "a user name or password"),
        ("https://host/v1?api-key=geheim", "holds a query"),
        ("https://host/v1#geheim", "holds a query"),
        ("ftp://geheim.example/v1", "no http or https address"),
        ("geheim", "no http or https address"),
        ("http:///geheim", "no http or https address"),
        ("http://host:geheim/v1", "cannot be read"),
        ("http://[geheim/v1", "cannot be read"),
        ("http://host/v1 geheim", "spaces or letters"),
        ("http://ho st/geheim", "no http or https address"),
        ("http://geheim%2eexample/v1", "no http or https address"),
    ],
)
def test_addresses_that_cannot_be_are_not_repeated(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        open_endpoint(at(url), "")
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8000/v1", True),
        ("http://api.localhost/v1", True),
        ("http://127.0.0.1/v1", True),
        ("http://[::1]/v1", True),
        ("http://10.1.2.3/v1", True),
        ("http://192.168.0.9:8000/v1", True),
        ("http://vllm:8000/v1", True),
        ("http://8.8.8.8/v1", False),
        ("https://api.openai.com/v1", False),
        ("https://localhost.example.com/v1", False),
        ("http://127.0.0.1.example.com/v1", False),
        ("http://134744072/v1", False),
        ("http://0x08080808/v1", False),
        ("http://[::ffff:8.8.8.8]/v1", False),
    ],
)
def test_what_stays_in_the_house(url: str, expected: bool) -> None:
    assert at(url).is_local is expected


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    monkeypatch.setenv("OTHER_KEY", "other")
    remote = at("https://api.example.com/v1")
    assert open_endpoint(remote).key == KEY
    assert open_endpoint(remote, "OTHER_KEY").key == "other"
    assert open_endpoint(remote, "").key == ""
    assert open_endpoint(remote, needs_key=False).key == ""


def test_local_servers_need_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_endpoint(at("http://localhost/v1")).key == ""
    with pytest.raises(UsageError, match=r"OPENAI_API_KEY holds no key for api\.example\.com"):
        open_endpoint(at("https://api.example.com/v1"))
    with pytest.raises(UsageError, match="MY_KEY holds no key"):
        open_endpoint(at("http://localhost/v1"), "MY_KEY")


@pytest.mark.parametrize("given", [KEY, "gsk_abcdefgh0123", "sk abc"])
def test_a_key_in_place_of_its_name_is_not_repeated(given: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_endpoint(at("https://api.example.com/v1"), given)
    assert given not in str(caught.value)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel", "esc\x1b"])
def test_keys_that_no_header_can_hold_are_not_repeated(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(UsageError, match="cannot have; set it again") as caught:
        open_endpoint(at("https://api.example.com/v1"))
    assert key not in str(caught.value)


def test_an_endpoint_does_not_show_its_key() -> None:
    endpoint = Endpoint(at("http://localhost/v1"), KEY)
    assert KEY not in f"{endpoint} {endpoint!r} {endpoint.config!r}"
    assert endpoint.scrub(f"Bearer {KEY}.") == "Bearer [key]."
    assert Endpoint(at("http://localhost/v1")).scrub("unchanged") == "unchanged"
    # What servers without keys are given is a word of other texts, too.
    for placeholder in ("x", "none", "EMPTY", "test"):
        said = f'{{"bag": "{placeholder}"}}'
        assert Endpoint(at("http://localhost/v1"), placeholder).scrub(said) == said


def test_identity_tells_answers_apart() -> None:
    usual = at("http://localhost/v1")
    for changes in (
        {"model": "n"},
        {"base_url": "http://localhost/v2"},
        {"settings": {"temperature": 0}},
        {"answer_format": "text"},
    ):
        assert usual.model_copy(update=changes).identity() != usual.identity()
    for changes in ({"timeout_s": 1.0}, {"max_answer_tokens": 1}):
        assert usual.model_copy(update=changes).identity() == usual.identity()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": ""}, "--model: "),
        ({"timeout_s": 0}, "--timeout: "),
        ({"timeout_s": float("nan")}, "--timeout: "),
        ({"timeout_s": float("inf")}, "--timeout: "),
        ({"timeout_s": 1e300}, "--timeout: "),
        ({"max_answer_tokens": 0}, "--max-answer-tokens: "),
        ({"answer_format": "xml"}, "--answer-format: "),
        ({"settings": {"x": object()}}, "--set: "),
    ],
)
def test_arguments_that_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        endpoint_config(**{"model": "m", "base_url": "http://localhost/v1", **changes})


def test_settings_do_not_replace_what_is_asked() -> None:
    config = EndpointConfig(model="m", base_url="http://localhost/v1", settings={"messages": []})
    with pytest.raises(UsageError, match="--set cannot change messages"):
        open_endpoint(config)
    for name in ("api_key", "API-Key", "token", "Authorization"):
        config = EndpointConfig(model="m", base_url="http://localhost/v1", settings={name: KEY, "max_tokens": 9})
        with pytest.raises(UsageError, match="would write a secret into every file") as caught:
            open_endpoint(config)
        assert KEY not in str(caught.value)
    for value in ({"headers": [{"Authorization": KEY}]}, [{"x-api-key": KEY, "api_key": KEY}]):
        config = EndpointConfig(model="m", base_url="http://localhost/v1", settings={"extra": value})
        with pytest.raises(UsageError, match="would write a secret into every file") as caught:
            open_endpoint(config)
        assert KEY not in str(caught.value)
    open_endpoint(EndpointConfig(model="m", base_url="http://localhost/v1", settings={"options": {"key": 1}}))
    for value in (float("nan"), [1.0, float("inf")], {"a": -float("inf")}):
        config = EndpointConfig(model="m", base_url="http://localhost/v1", settings={"seed": 1, "top_p": value})
        with pytest.raises(UsageError, match="--set top_p holds NaN or infinity"):
            open_endpoint(config)
    with pytest.raises(UsageError, match="no name of a model"):
        open_endpoint(EndpointConfig(model="m\x1b[0m", base_url="http://localhost/v1"))


def test_the_address_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert endpoint_config("m", None).base_url == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost/v1")
    assert endpoint_config("m", None).base_url == "http://localhost/v1"
    assert endpoint_config("m", "http://other/v1").base_url == "http://other/v1"
