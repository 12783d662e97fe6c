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
DESIGN = {"en": "design", "zh": "设计"}
#: (the room, its topic, [(who, what)], how much of it is unread)
ROOMS = [
    (
        DESIGN,
        {"en": "Colours, words, the small things in between", "zh": "颜色、文字和其间的小事"},
        [
            ("Clara", {"en": "The new icons are in, have a look.", "zh": "新图标放进去了，大家看看。"}),
            ("周明", "好看！就是“搜索”那个有点细。"),
            ("Clara", "Thicker now. Better?"),
            ("周明", "👍"),
            ("Tomás", "Could the unread badge be quieter in rooms, and loud only where one is mentioned?"),
            (
                "Clara",
                {"en": "Yes! Numbers grey, mentions green.", "zh": "好主意！数字用灰色，被提到才用绿色。"},
            ),
            ("Tomás", {"en": "And the icons look great in the dark.", "zh": "深色模式下图标也很好看。"}),
            ("周明", "那我来改样式，今天就能好。"),
        ],
        2,
    ),
    (
        {"en": "releases", "zh": "发布"},
        {"en": "What goes out, and when", "zh": "什么时候发布什么"},
        [
            ("Tomás", "0.9 is tagged for three o'clock."),
            ("Tomás", {"en": "@{reader}, the notes are yours?", "zh": "@{reader}，说明由你来写？"}),
        ],
        2,
    ),
    (
        {"en": "support", "zh": "支持"},
        {"en": "Questions from outside", "zh": "来自外面的问题"},
        [("Clara", {"en": "All answered for today.", "zh": "今天的问题都回复了。"})],
        0,
    ),
    (
        {
            "en": "the very long name of a room about nothing in particular",
            "zh": "一个名字特别长、但也没什么特别内容的闲聊房间",
        },
        "",
        [("周明", "☕")] * 3,
        3,
    ),
]
LOOKED_FOR = {"en": "icons", "zh": "图标"}
