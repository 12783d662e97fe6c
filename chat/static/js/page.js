import { ChatApp } from "./app.js";
import { Menu } from "./menu.js";
import { Texts } from "./texts.js";
import { TitleBadge } from "./title_badge.js";
import { ViewportFit } from "./viewport_fit.js";

/** The chat page: the whole window is the chat, and the title counts what is unread. */
const config = JSON.parse(document.getElementById("chat-config").textContent);
const texts = new Texts(config.strings, config.locale);
const title = new TitleBadge();
const app = new ChatApp(document, config);

app.addEventListener("unread", ({ detail: count }) => title.show(count, texts.badge(count)));
for (const menu of document.querySelectorAll("details.fc-menu")) new Menu(menu);
new ViewportFit(document.documentElement);
app.start();
