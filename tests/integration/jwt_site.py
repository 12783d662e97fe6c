"""A site without pages, with its own members and JWTs, which the chat accepts as they are."""

from flask import Flask, jsonify, request
from flask_jwt_extended import JWTManager, create_access_token, get_jwt, jwt_required

from chat import Chat, Identity

MEMBERS = {"anna@example.org": ("17", "Anna"), "ben@example.org": ("23", "Ben")}
#: The jti of each token that the site has revoked.
taken_back = set()

chat = Chat()


@chat.claims_loader
def member(claims):
    if claims["jti"] in taken_back:
        raise ValueError("this token was taken back")
    return Identity(claims["sub"], claims["nick"])


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "the site's pages, if it had any"
    app.config["JWT_SECRET_KEY"] = "known to all services of the site, and long enough"
    JWTManager(app).user_identity_loader(lambda email: MEMBERS[email][0])
    chat.init_app(app)

    @app.post("/api/login")
    def login():
        email = request.get_json()["email"]
        return jsonify(jwt=create_access_token(email, additional_claims={"nick": MEMBERS[email][1]}))

    @app.post("/api/logout")
    @jwt_required()
    def logout():
        taken_back.add(get_jwt()["jti"])
        return jsonify(ok=True)

    @app.post("/api/throw-out/<nick>")
    def throw_out(nick):
        chat.kick(nick)
        return jsonify(ok=True)

    return app
