/** What stands between the slashes and the host of a URL; a password may hold a slash. */
const USERINFO = /(?<=:\/\/)[^\s@"'<>]+(?=@)/g;

/** A text as it may be shown: the name and password in its URLs are hidden, whatever setting they were put in. */
export function withoutUserinfo(text: string): string {
  return text.replaceAll(USERINFO, '[redacted]');
}
