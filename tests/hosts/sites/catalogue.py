"""The sites: which source distribution each comes from, what it requires, how its users log in, what they see."""

from dataclasses import dataclass

#: What each of the two users types into a log-in form.
PASSWORD = "correct horse 7"
PEOPLE = ("ann", "ben")


@dataclass(frozen=True)
class Account:
    """One user of a site: what is typed into the log-in form, and the name that the chat shows."""

    login: str
    name: str
    password: str = PASSWORD


@dataclass(frozen=True, kw_only=True)
class Site:
    """One site, in the folder `folder` of a source distribution on PyPI. Patches of the same name lie in patches/."""

    name: str
    requirement: str
    sha256: str
    folder: str
    #: What is installed for it: its own requirements as they are pinned or named there.
    requirements: tuple[str, ...]
    #: The app as gunicorn and `flask --app` take it.
    app: str
    #: Run in its folder with its own Python: creates its tables and its two users.
    prepare: str
    accounts: tuple[Account, Account]
    #: Its log-in form: the path, and the CSS selectors of name, password and button.
    login_path: str
    fields: tuple[str, str, str]
    #: A page for those who are logged in, which has the widget.
    home: str
    #: Pages that must answer with the chat as without it, for strangers and for users.
    pages: tuple[str, ...]
    #: Its own tests: arguments of pytest, and the folder in which they run.
    tests: tuple[str, ...] = ()
    tests_folder: str = "."
    env: tuple[tuple[str, str], ...] = ()

    def __str__(self):
        return self.name


TUTORIAL = Site(
    name="tutorial",
    requirement="flask==3.1.3",
    sha256="0ef0e52b8a9cd932855379197dd8f94047b359ca0a78695144304cb45f87c9eb",
    folder="examples/tutorial",
    requirements=("flask==3.1.3", "pytest"),
    app="flaskr:create_app()",
    prepare="""
from flaskr import create_app
from flaskr.db import init_db
app = create_app()
with app.app_context():
    init_db()
for name in PEOPLE:
    app.test_client().post("/auth/register", data={"username": name, "password": PASSWORD})
""",
    accounts=(Account("ann", "ann"), Account("ben", "ben")),
    login_path="/auth/login",
    fields=("[name=username]", "[name=password]", "[type=submit]"),
    home="/",
    pages=("/", "/hello", "/auth/login", "/auth/register", "/create", "/static/style.css", "/7/update", "/nowhere"),
    tests=("tests",),
)

FLASK_SECURITY = Site(
    name="flask-security",
    requirement="flask-security==5.9.2",
    sha256="215b1f978c203c646cfa87667e4a193b63aaf51a18403c49eccc9ff1b1bfad8f",
    folder="examples",
    requirements=(
        "flask-security[babel,fsqla,common]==5.9.2",
        *("zxcvbn", "pytest", "sqlalchemy<2.1"),  # named in its dependency group `tests`
    ),
    app="fsqlalchemy1.app:create_app()",
    prepare="""
from flask_security import hash_password
from fsqlalchemy1.app import create_app, create_users
app = create_app()
with app.app_context():
    create_users()
    for name in PEOPLE:
        app.security.datastore.create_user(
            email=f"{name}@example.org", password=hash_password(PASSWORD), roles=["user"]
        )
    app.security.datastore.commit()
""",
    accounts=(Account("ann@example.org", "ann@example.org"), Account("ben@example.org", "ben@example.org")),
    login_path="/login",
    fields=("#email", "#password", "#submit"),
    home="/",
    pages=("/", "/admin", "/ops", "/blog/1", "/myblogs", "/login", "/register", "/nowhere"),
    tests=("fsqlalchemy1",),
    env=(("SQLALCHEMY_DATABASE_URI", "sqlite:///users.sqlite"),),
)

FLASK_ADMIN = Site(
    name="flask-admin",
    requirement="flask-admin==1.4.2",
    sha256="7d1cfdcb29a7135d4275dc22628c0f068cccfdb84dadad885bde685d0511597c",
    folder="examples/auth-flask-login",
    # The newest that this example runs on, with the oldest Flask that the chat allows.
    requirements=(
        *("flask-admin==1.6.1", "flask==2.2.5", "werkzeug==2.2.3", "wtforms==2.3.3", "flask-login==0.6.3"),
        *("flask-sqlalchemy==3.0.5", "sqlalchemy<2.1"),
    ),
    app="app:app",
    prepare="""
from werkzeug.security import generate_password_hash
from app import User, app, build_sample_db, db
with app.app_context():
    build_sample_db()
    for name in PEOPLE:
        db.session.add(User(login=name, password=generate_password_hash(PASSWORD)))
    db.session.commit()
""",
    accounts=(Account("ann", "ann"), Account("ben", "ben")),
    login_path="/admin/login/",
    fields=("[name=login]", "[name=password]", "[type=submit]"),
    home="/admin/",
    pages=("/", "/admin/", "/admin/user/", "/admin/user/edit/?id=1", "/admin/login/", "/admin/register/", "/nowhere"),
)

SITES = (TUTORIAL, FLASK_SECURITY, FLASK_ADMIN)
