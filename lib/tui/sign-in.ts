/**
 * Signing in: the name first, then a new account or the password of the old one. Talks to a `Surface` and a
 * `ChatClient` and returns when somebody is signed in; leaving is the surface's business.
 */
import type { ChatClient } from "../client/types.ts";
import { draftOf } from "./editor.ts";
import { answered } from "./requests.ts";
import { nameComplaint, passwordComplaint, sameName } from "./sentences.ts";
import type { Surface } from "./surface.ts";

export interface SignedIn {
  readonly user: string;
  /** The account was made just now. */
  readonly isNew: boolean;
  readonly inbox: number;
}

export interface SignInOptions {
  /** Taken as the first answer to "who are you?". */
  readonly user: string | undefined;
  /** Runs a line that begins with a slash. */
  readonly command: (line: string) => void;
}

export async function signIn(surface: Surface, client: ChatClient, options: SignInOptions): Promise<SignedIn> {
  let given = options.user;
  let shown = "";
  for (;;) {
    const name = given ?? (await askName(surface, shown));
    given = undefined;
    if (name.startsWith("/")) {
      options.command(name);
      continue;
    }
    const complaint = nameComplaint(name);
    if (complaint !== null) {
      surface.say({ tone: "warning", text: complaint });
      continue;
    }
    shown = name;
    const found = await surface.busy("Looking for the account", findAccount(client, name));
    if (!found.readable) {
      surface.say({ tone: "warning", text: "This name cannot be looked up. Try another one." });
      continue;
    }
    const signedIn =
      found.account === null
        ? await welcomeNew(surface, client, name)
        : await welcomeBack(surface, client, found.account);
    if (signedIn !== null) return signedIn;
  }
}

async function askName(surface: Surface, initial: string): Promise<string> {
  const answer = await surface.ask({
    kind: "field",
    label: "User name",
    initial: draftOf(initial),
    accept: (text) => (text.trim().startsWith("/") ? null : nameComplaint(text.trim())),
  });
  return answer.type === "line" ? answer.text.trim() : "";
}

/** The account's name as the server spells it, or null when there is none. */
async function findAccount(client: ChatClient, name: string): Promise<{ readable: boolean; account: string | null }> {
  const answer = await answered(client, { type: "accounts", pattern: name, after: null, limit: 10 });
  if (answer.type === "refused") return { readable: false, account: null };
  return { readable: true, account: answer.accounts.find(({ user }) => sameName(user, name))?.user ?? null };
}

/** Null when the user went back. */
async function welcomeNew(surface: Surface, client: ChatClient, name: string): Promise<SignedIn | null> {
  surface.say({ tone: "good", text: "Welcome, new user!" });
  const how = surface.linear ? "" : " (Escape: another name)";
  surface.say({ tone: "dim", text: `Nobody is called ${name} yet. Choose a password to take the name${how}.` });
  for (;;) {
    const password = await newPassword(surface);
    if (password === null) return null;
    const created = await surface.busy(
      "Creating the account",
      answered(client, { type: "createAccount", user: name, password }),
    );
    if (created.type !== "refused") {
      const signedIn = await logIn(surface, client, created.user, password, true);
      return typeof signedIn === "string" ? null : signedIn;
    }
    surface.say({ tone: "warning", text: created.message });
    if (created.code === "name-taken") return welcomeBack(surface, client, name);
    if (created.code !== "bad-password") return null;
  }
}

async function newPassword(surface: Surface): Promise<string | null> {
  for (;;) {
    const first = await askPassword(surface, "New password", passwordComplaint);
    if (first === null) return null;
    const second = await askPassword(surface, "Once more", () => null);
    if (second === first) return first;
    if (second !== null) surface.say({ tone: "warning", text: "The two passwords differ. Once more from the first." });
  }
}

async function welcomeBack(surface: Surface, client: ChatClient, name: string): Promise<SignedIn | null> {
  surface.say({ tone: "good", text: `Welcome back, ${name}!` });
  for (;;) {
    const password = await askPassword(surface, "Password", (text) => (text === "" ? "Type your password." : null));
    if (password === null) return null;
    const signedIn = await logIn(surface, client, name, password, false);
    if (typeof signedIn !== "string") return signedIn;
    if (signedIn === "no such account") return null;
  }
}

/** A refusal has been said. */
async function logIn(
  surface: Surface,
  client: ChatClient,
  user: string,
  password: string,
  isNew: boolean,
): Promise<SignedIn | "try again" | "no such account"> {
  const answer = await surface.busy("Signing in", answered(client, { type: "login", user, password }));
  if (answer.type !== "refused") return { user: answer.user, isNew, inbox: answer.inbox };
  const again = surface.linear ? "Try again." : "Try again, or press Escape for another name.";
  const text = answer.code === "wrong-password" ? `That password is wrong. ${again}` : answer.message;
  surface.say({ tone: "bad", text });
  return answer.code === "no-such-user" ? "no such account" : "try again";
}

async function askPassword(
  surface: Surface,
  label: string,
  accept: (text: string) => string | null,
): Promise<string | null> {
  const answer = await surface.ask({ kind: "field", label, secret: true, back: true, accept });
  return answer.type === "line" ? answer.text : null;
}
