/** The questions by which a draft is written or changed where there are screens: its recipient, then its text. */
import { limits } from "../base/limits.ts";
import type { Answers, Refused } from "../client/types.ts";
import type { ChatContext } from "./context.ts";
import type { Draft } from "./drafts.ts";
import { draftOf } from "./editor.ts";
import { untilDone } from "./requests.ts";
import { byteLength, nameComplaint } from "./sentences.ts";

/**
 * Asks for the recipient and the text of a draft, a new one if it is null; the draft as it is then, null when it stays.
 * What cannot be saved is asked for again as it was typed.
 */
export async function editDraft(context: ChatContext, draft: Draft | null): Promise<Draft | null> {
  const { surface, drafts } = context;
  let [to, text] = [draft?.to ?? context.partner ?? "", draft?.text ?? ""];
  for (;;) {
    const whom = await askRecipient(context, to);
    const written = whom === null ? null : await askText(context, text);
    if (whom === null || written === null) return null;
    [to, text] = [whom, written];
    let isLeft = false;
    const save = async (): Promise<Answers["saveDraft"] | Refused> => {
      const answer = await drafts.save(draft?.draft ?? null, to, text);
      // Nobody asks for it again then: the text is there to be taken from here.
      const lost = isLeft ? `\n${text}` : "";
      if (answer.type !== "refused") surface.say({ tone: "good", text: "Draft saved." });
      else surface.say({ tone: "bad", text: `Not saved: ${answer.message}${lost}`, failed: true });
      return answer;
    };
    const answer = await untilDone(surface, "Saving", save());
    isLeft = answer === "left";
    if (answer === "left") return null;
    if (answer.type !== "refused") return { draft: answer.draft, to, text, at: Date.now() };
    if (answer.code === "not-logged-in") return null;
  }
}

/** "" for nobody yet; null when the user went back. */
async function askRecipient({ surface, questions }: ChatContext, to: string): Promise<string | null> {
  const answer = await surface.ask({
    kind: "field",
    label: "To (may stay empty)",
    initial: draftOf(to),
    back: true,
    accept: (typed) => (typed.trim() === "" ? null : nameComplaint(typed.trim().replace(/^@/, ""))),
    complete: (before) => questions.knownNames().filter((name) => name.toLowerCase().startsWith(before.toLowerCase())),
  });
  return answer.type === "line" ? answer.text.trim().replace(/^@/, "") : null;
}

/** Null when the user went back. */
async function askText({ surface }: ChatContext, text: string): Promise<string | null> {
  const answer = await surface.ask({
    kind: "prompt",
    label: "Text",
    initial: draftOf(text),
    back: true,
    accept: (typed) => {
      if (typed.trim() === "") return "Type a text; Escape leaves the draft as it was.";
      const bytes = byteLength(typed);
      return bytes > limits.textBytesMax ? `too long: ${bytes} of ${limits.textBytesMax} bytes` : null;
    },
  });
  return answer.type === "line" ? answer.text : null;
}
