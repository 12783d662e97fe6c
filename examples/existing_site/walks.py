"""The club's walks, and who takes part in them."""

from flask import Blueprint, redirect, render_template, url_for
from flask_login import current_user, login_required

from .db import get_db

blueprint = Blueprint("walks", __name__)


@blueprint.get("/")
def index():
    walks = get_db().execute(
        "SELECT walk.*, group_concat(member.nickname, ', ') AS coming FROM walk"
        " LEFT JOIN coming ON coming.walk_id = walk.id LEFT JOIN member ON member.id = coming.member_id"
        " GROUP BY walk.id ORDER BY walk.id"
    )
    return render_template("index.html", walks=walks.fetchall())


@blueprint.post("/walks/<int:walk_id>/come")
@login_required
def come(walk_id):
    with get_db() as db:
        db.execute("INSERT OR IGNORE INTO coming VALUES (?, ?)", (walk_id, current_user.id))
    return redirect(url_for(".index"))
