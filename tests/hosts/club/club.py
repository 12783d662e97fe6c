"""A site with users in its session, a package named `chat`, and Flask-Chat installed from its wheel."""

from flask import Flask, render_template_string, session
from flask_chat import Chat, Identity

from chat import TOPICS

HOME = "<!doctype html><title>Club</title>{{ topics|join(', ') }}{{ chat_widget() }}"

app = Flask(__name__)
app.secret_key = "a secret of at least thirty-two bytes"


def chat_identity():
    return Identity(session["name"], session["name"]) if "name" in session else None


Chat(app, url_prefix="/talk", identity_loader=chat_identity)


@app.post("/enter/<name>")
def enter(name):
    session["name"] = name
    return "", 204


@app.get("/")
def home():
    return render_template_string(HOME, topics=TOPICS)
