import type { Authority } from '../../ca/authority.ts';

/** The page a person sees who opens the proxy's address in a browser. */
export function homePage(authority: Authority): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Breakwater</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
  body { max-width: 40rem; margin: 10vh auto; padding: 0 1rem }
  code { overflow-wrap: anywhere }
</style>
<h1>Breakwater</h1>
<p>The container registry cache is working.</p>
<ul>
  <li><a href="/ca.crt">CA certificate</a> (<a href="/ca.crt?format=der">DER</a>), SHA-256
    <code>${escapeHtml(authority.fingerprint256)}</code>, valid until ${authority.notAfter.toISOString().slice(0, 10)}</li>
  <li><a href="/setup/systemd">Set-up script</a> for Docker or containerd under systemd</li>
</ul>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
