/**
 * Signing in: the name first, then a new account or the password of the old one. Talks to a `Surface` and a
 * `ChatClient` and returns when somebody is signed in; leaving is the surface's business.
 */
import { limits } from "../base/limits.ts";
import type { Answers, ChatClient, Refused } from "../client/types.ts";
import { draftOf } from "./editor.ts";
import { answered, untilDone } from "./requests.ts";
import { nameComplaint, passwordComplaint, sameName, wasCalled } from "./sentences.ts";
import type { Surface } from "./surface.ts";

export interface SignedIn {
  readonly user: string;
  /** The account was made just now. */
  readonly isNew: boolean;
  readonly inbox: number;
  readonly drafts: number;
  readonly password: string;
}

export interface SignInOptions {
  /** Taken as the first answer to "who are you?". */
  readonly user: string | undefined;
  /** Runs a line that begins with a slash. */
  readonly command: (line: string) => void;
  /** Whether a name has been given that nobody is signed in under yet. */
  readonly named: (isNamed: boolean) => void;
}

export async function signIn(surface: Surface, client: ChatClient, options: SignInOptions): Promise<SignedIn> {
  const logins = new Logins(surface, client);
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
    options.named(true);
    const found = await surface.busy("Looking for the account", findAccount(client, name), "ahead");
    if (found === "left") {
      options.named(false);
      continue;
    }
    if (!found.readable) {
      // A password, which must not show itself as a name.
      surface.takeTyped();
      surface.say({ tone: "warning", text: "This name cannot be looked up. Try another one." });
      continue;
    }
    const signedIn = await welcome(surface, client, logins, name, found);
    options.named(false);
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

interface Found {
  readonly readable: boolean;
  /** The account's name as the server spells it, or null when there is none. */
  readonly account: string | null;
  /** Accounts that were called so until a merge. */
  readonly renamed: readonly string[];
}

/** A name that a merge has lengthened is cut by this at the most. */
const suffixCharactersMax = 7;

async function findAccount(client: ChatClient, name: string): Promise<Found> {
  const unreadable: Found = { readable: false, account: null, renamed: [] };
  const holder = await answered(client, { type: "accounts", pattern: name, after: null, limit: 10 });
  if (holder.type === "refused") return unreadable;
  const account = holder.accounts.find(({ user }) => sameName(user, name))?.user ?? null;
  if (account !== null) return { readable: true, account, renamed: [] };
  const begun = Array.from(name.normalize("NFC")).slice(0, limits.userNameCharactersMax - suffixCharactersMax);
  const pattern = `${begun.join("")}*~*`;
  const others = await answered(client, { type: "accounts", pattern, after: null, limit: limits.pageMax });
  if (others.type === "refused") return unreadable;
  const renamed = others.accounts.map(({ user }) => user).filter((user) => wasCalled(user, name));
  return { readable: true, account, renamed };
}

/** Null when the user went back. */
async function welcome(
  surface: Surface,
  client: ChatClient,
  logins: Logins,
  name: string,
  { account, renamed }: Found,
): Promise<SignedIn | null> {
  if (account !== null) return welcomeBack(surface, logins, account);
  if (renamed.length === 0) return welcomeNew(surface, client, logins, name);
  const text =
    `Nobody is called ${name} now, but ${renamed.join(" and ")} ${renamed.length === 1 ? "was" : "were"} until ` +
    "replicas met that had been apart.";
  surface.say({ tone: "info", text });
  surface.takeTyped();
  const isOld = await surface.confirm(`Are you ${renamed.join(" or ")}?`, `No, I am new: take ${name}`, "Yes, sign in");
  return isOld ? welcomeBack(surface, logins, name) : welcomeNew(surface, client, logins, name);
}

/** Null when the user went back. */
async function welcomeNew(
  surface: Surface,
  client: ChatClient,
  logins: Logins,
  name: string,
): Promise<SignedIn | null> {
  surface.say({ tone: "good", text: "Welcome, new user!" });
  const how = surface.linear ? "" : " (Escape: another name)";
  surface.say({ tone: "dim", text: `Nobody is called ${name} yet. Choose a password to take the name${how}.` });
  for (;;) {
    const password = await newPassword(surface);
    if (password === null) return null;
    const request = answered(client, { type: "createAccount", user: name, password });
    const created = await untilDone(surface, "Creating the account", request);
    if (created === "left") return null;
    if (created.type !== "refused") {
      const signedIn = await logIn(surface, logins, created.user, password, true);
      return typeof signedIn === "string" ? null : signedIn;
    }
    surface.say({ tone: "warning", text: created.message });
    if (created.code === "name-taken") return welcomeBack(surface, logins, name);
    if (created.code !== "bad-password") return null;
  }
}

/** Asked for twice; null when the user went back. */
export async function newPassword(surface: Surface): Promise<string | null> {
  for (;;) {
    const first = await askPassword(surface, "New password", passwordComplaint);
    if (first === null) return null;
    const second = await askPassword(surface, "Once more", () => null);
    if (second === first) return first;
    if (second !== null) surface.say({ tone: "warning", text: "The two passwords differ. Once more from the first." });
  }
}

async function welcomeBack(surface: Surface, logins: Logins, name: string): Promise<SignedIn | null> {
  surface.say({ tone: "good", text: `Welcome back, ${name}!` });
  for (;;) {
    const password = await askPassword(surface, "Password", (text) => (text === "" ? "Type your password." : null));
    if (password === null) return null;
    const signedIn = await logIn(surface, logins, name, password, false);
    if (typeof signedIn !== "string") return signedIn;
    if (signedIn === "another name") return null;
  }
}

/** Logging in, one attempt after the other: whoever left one that succeeds after all does not stay logged in. */
class Logins {
  readonly #surface: Surface;
  readonly #client: ChatClient;
  #before: Promise<void> = Promise.resolve();

  constructor(surface: Surface, client: ChatClient) {
    this.#surface = surface;
    this.#client = client;
  }

  async attempt(user: string, password: string): Promise<Answers["login"] | Refused | "left"> {
    const request = this.#before.then(() => answered(this.#client, { type: "login", user, password }));
    const answer = await this.#surface.busy("Signing in", request);
    if (answer !== "left") return answer;
    this.#before = request.then(async ({ type }) => {
      if (type !== "refused") await answered(this.#client, { type: "logout" });
    });
    const text = "Signing in cannot be called back: if it is done once a replica answers, it is undone at once.";
    this.#surface.say({ tone: "warning", text });
    return "left";
  }
}

/** A refusal has been said. */
async function logIn(
  surface: Surface,
  logins: Logins,
  user: string,
  password: string,
  isNew: boolean,
): Promise<SignedIn | "try again" | "another name"> {
  const answer = await logins.attempt(user, password);
  if (answer === "left") return "another name";
  if (answer.type !== "refused") {
    return { user: answer.user, isNew, inbox: answer.inbox, drafts: answer.drafts, password };
  }
  const again = surface.linear ? "Try again." : "Try again, or press Escape for another name.";
  const text = answer.code === "wrong-password" ? `That password is wrong. ${again}` : answer.message;
  surface.say({ tone: "bad", text });
  return answer.code === "no-such-user" ? "another name" : "try again";
}

/** Nothing of it is shown; null when the user went back. */
export async function askPassword(
  surface: Surface,
  label: string,
  accept: (text: string) => string | null,
): Promise<string | null> {
  const answer = await surface.ask({ kind: "field", label, secret: true, back: true, accept });
  return answer.type === "line" ? answer.text : null;
}
