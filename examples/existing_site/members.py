"""The club's members: join, log in, log out."""

import sqlite3

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_login import LoginManager, UserMixin, login_required, login_user, logout_user
from flask_wtf import FlaskForm
from werkzeug.security import check_password_hash, generate_password_hash
from wtforms import EmailField, PasswordField, StringField
from wtforms.validators import InputRequired, Length

from .db import get_db

blueprint = Blueprint("members", __name__)
login_manager = LoginManager()
login_manager.login_view = "members.login"


class Member(UserMixin):
    def __init__(self, row):
        self.id = row["id"]
        self.email = row["email"]
        self.nickname = row["nickname"]


class LoginForm(FlaskForm):
    email = EmailField("Email", [InputRequired()])
    password = PasswordField("Password", [InputRequired()])


class JoinForm(LoginForm):
    nickname = StringField("Nickname", [InputRequired(), Length(max=40)])


def init_app(app):
    login_manager.init_app(app)
    app.register_blueprint(blueprint)


@login_manager.user_loader
def load_member(member_id):
    row = get_db().execute("SELECT * FROM member WHERE id = ?", (member_id,)).fetchone()
    return Member(row) if row else None


@blueprint.route("/join", methods=["GET", "POST"])
def join():
    form = JoinForm()
    if form.validate_on_submit():
        values = (form.email.data, form.nickname.data, generate_password_hash(form.password.data))
        try:
            with get_db() as db:
                done = db.execute("INSERT INTO member (email, nickname, password) VALUES (?, ?, ?)", values)
        except sqlite3.IntegrityError:
            flash("That email address or nickname is already taken.")
        else:
            login_user(load_member(done.lastrowid))
            return redirect(url_for("walks.index"))
    return render_template("join.html", form=form)


@blueprint.route("/login", methods=["GET", "POST"])
def login():
    form = LoginForm()
    if form.validate_on_submit():
        row = get_db().execute("SELECT * FROM member WHERE email = ?", (form.email.data,)).fetchone()
        if row and check_password_hash(row["password"], form.password.data):
            login_user(Member(row))
            return redirect(own_path(request.args.get("next")))
        flash("Wrong email address or password.")
    return render_template("login.html", form=form)


@blueprint.post("/logout")
@login_required
def logout():
    logout_user()
    return redirect(url_for("walks.index"))


def own_path(target):
    """Return `target` if it is a path of this site, else the start page."""
    if target and target.startswith("/") and target[1:2] not in ("/", "\\"):
        return target
    return url_for("walks.index")
