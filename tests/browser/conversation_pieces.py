"""What is said in the pictures; where a text is a pair, in the reader's language."""

#: The reader, by the language of the page.
READER = {"en": "Nadia", "zh": "林晓"}
COLLEAGUES = ("周明", "Clara", "Tomás")
#: (minutes after the last, who, what); who is None for the reader.
LOBBY = [
    (0, "周明", "大家早！今天下午的发布还是三点吗？"),
    (1, "Clara", "Morning! Yes, at three. The notes are at https://example.org/notes/0.9"),
    (0, "Clara", "I still need one more pair of eyes on the upgrade section."),
    (2, None, {"en": "I can take that, give me half an hour ☕", "zh": "我来看吧，给我半个小时 ☕"}),
    (4, "Tomás", "Staging has been on it since Friday. 1,200 people, not one dropped connection."),
    (1, "周明", "太好了 👏 中文说明也更新了，只有一处拿不准：\n“room” 叫“房间”还是“频道”？"),
    (3, None, {"en": "“房间” — that is what everyone says anyway.", "zh": "“房间”更好，大家平时都这么说。"}),
    (2, "Tomás", "Then I'll tag it at three. @{reader}, shout if the upgrade notes need longer."),
]
#: The direct conversation with Clara.
DIRECT = [
    (6, "Clara", {"en": "Do you have a minute?", "zh": "Got a minute? 用中文也行 🙂"}),
    (1, None, {"en": "Sure, what is it?", "zh": "有啊，怎么了？"}),
    (
        1,
        "Clara",
        {
            "en": "Step two says to stop the server first. I think we no longer need that.",
            "zh": "说明里第二步写着先停服务器，我觉得已经不需要了。",
        },
    ),
    (
        1,
        None,
        {
            "en": "You're right, it drains by itself now. I'll fix it.",
            "zh": "对，现在它会自己收尾。我去删掉。",
        },
    ),
    (0, "Clara", {"en": "Perfect, thank you!", "zh": "太好了，谢谢！"}),
]
