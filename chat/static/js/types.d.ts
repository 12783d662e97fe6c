/** The shapes that modules pass to each other; only the type checker reads this file. */

/** A user, as on the wire and in the API. */
export interface Person {
  id: string;
  username: string;
  /** Whether the account has been deleted. */
  deleted?: boolean;
}

/** An invitation to a room, as the API lists it. */
export interface Invitation {
  room: string;
  title: string;
  topic: string;
  kind: "public" | "private";
  inviter: Person;
  role: string;
  at: number;
}

/** A message inside the page: MessageReader makes it from the wire's message, Writing from the user's text. */
export interface Message {
  id: string;
  /** null for a message of the server. */
  user: Person | null;
  text: string;
  /** Milliseconds since 1970. */
  ts: number;
  /** Missing in rooms that keep nothing, and until the server assigns it. */
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

/** A place to look at: a room, and a message in it. */
export interface Place {
  room: string;
  at?: number | null;
}

/** Where to begin in a conversation: at a message, at the line before the unread messages, or at the newest. */
export interface Spot {
  at?: number | null;
  line?: number | null;
}

/** What to do after the socket was closed. */
export interface Plan {
  act: "retry" | "fresh" | "after" | "stop";
  why: string;
  base?: number;
  cap?: number;
  floor?: number;
  refused?: boolean;
}

/** A token for the socket and the API. */
export interface Token {
  token: string;
  /** Seconds. */
  expires_in: number;
}

/** null, "loading", or the reason for the failure. */
export type Loading = string | null;
