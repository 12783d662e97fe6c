"""The club's own package `chat`, which has nothing to do with Flask-Chat: its name is the site's to use."""

TOPICS = ("hikes", "boots")
