import { AddressBar } from "./address_bar.js";
import { ChatApp } from "./app.js";
import { on } from "./events.js";
import { Menu } from "./menu.js";
import { Texts } from "./texts.js";
import { TitleBadge } from "./title_badge.js";
import { ViewportFit } from "./viewport_fit.js";

/** The chat page: the whole window is the chat, its address says where one is, and its title counts what is unread. */
const config = JSON.parse(document.querySelector("#chat-config")?.textContent ?? "");
const texts = new Texts(config.strings, config.locale);
const title = new TitleBadge();
const app = new ChatApp(document, config, { remembers: true });
const address = new AddressBar(app.links, (place) => app.visit(place, { step: false }));

on(app, "unread", (count) => title.show(count, texts.badge(count)));
on(app, "turned", ({ room, at, title: name, step }) => {
  address.show({ room, at }, { step });
  title.turnTo(room === config.room ? "" : name);
});
for (const menu of document.querySelectorAll(".fc-sidebar details.fc-menu")) new Menu(menu);
new ViewportFit(document.documentElement);
app.start({ place: address.here });
