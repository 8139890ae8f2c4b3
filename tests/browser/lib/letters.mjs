// Letters in a folder, read by Python's own parser of mail.

import { python, until } from "./places.mjs";

const READ = `
import email, email.policy, json, pathlib, sys
letters = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in sorted(pathlib.Path(sys.argv[1]).glob("*.eml"))]
print(json.dumps([{"subject": one["subject"], "text": one.get_content()} for one in letters if one["to"] == sys.argv[2]]))
`;

/** The letters to an address, oldest first. */
export const lettersTo = async (folder, email) => JSON.parse(await python(READ, folder, email));

/** Waits for the nth code, counted from one, that was sent to an address. */
export async function codeTo(folder, email, nth = 1) {
  let code;
  await until(async () => {
    const codes = (await lettersTo(folder, email)).map(({ text }) => text.match(/^ {4}(\d{4} \d{4})\r?$/m)?.[1]).filter(Boolean);
    return (code = codes[nth - 1]);
  }, `code number ${nth} to ${email}`);
  return code;
}

/** Waits for the link of an invitation. */
export async function linkTo(folder, email) {
  let link;
  await until(async () => (link = (await lettersTo(folder, email)).map(({ text }) => text.match(/^http\S+\/sign-in\/invitation\/\S+/m)?.[0]).find(Boolean)), `a link to ${email}`);
  return link;
}
