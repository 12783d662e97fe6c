/** The shapes that the modules hand to each other, for the type checker alone. */

/** Who speaks, as the wire and the API show it. */
export interface Person {
  id: string;
  username: string;
}

/** A message as the page works with it: MessageReader makes it of the wire's, Writing of what the user writes. */
export interface Message {
  id: string;
  /** null for the server. */
  user: Person | null;
  text: string;
  /** Milliseconds since 1970. */
  ts: number;
  /** Missing where nothing is kept, and until the server has given one. */
  seq?: number;
  own: boolean;
  state: "pending" | "sent" | "failed";
  error?: string | null;
  mention?: boolean;
  private?: boolean;
}

/** A message that the server sent. */
export interface Wire {
  type: number;
  [field: string]: any;
}

/** Where the reader is or wants to be: a room, and a message in it. */
export interface Place {
  room: string;
  at?: number | null;
}

/** Where in a conversation to begin: at a message, at the line before what is new, or at the newest. */
export interface Spot {
  at?: number | null;
  line?: number | null;
}

/** What to do after a close of the socket. */
export interface Plan {
  act: "retry" | "fresh" | "after" | "stop";
  why: string;
  base?: number;
  cap?: number;
  floor?: number;
  refused?: boolean;
}

/** A token of the site for the socket and the API. */
export interface Token {
  token: string;
  /** Seconds. */
  expires_in: number;
}

/** null, "loading", or why it failed. */
export type Loading = string | null;
