import { ERRORS } from '../registry/errors.ts';

const INTRODUCTION = `# Errors

<!-- Made by "breakwater config docs --page errors"; change the catalogue in src/registry/errors.ts instead. -->

A failed request is answered with the error body of the OCI distribution spec. \`code\` is the spec's word, \`detail.reason\`
the code below, and \`detail.mend\`, where present, says how to mend it.

- **Source** tells where to look first: \`client\`, \`upstream\` (the registry), \`internal\` or \`configuration\`.
- **Again** tells whether the same request may succeed if it is simply made again.

| Code | Status | OCI code | Source | Again | Meaning |
|---|---|---|---|---|---|
`;

/** The Markdown of `docs/reference/errors.md`. */
export function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(
    ([code, { status, oci, source, retryable, help }]) =>
      `| \`${code}\` | ${status} | \`${oci}\` | ${source} | ${retryable ? 'yes' : 'no'} | ${help} |\n`,
  );
  return INTRODUCTION + rows.join('');
}
