/** Who caused a failure: it decides what an operator looks at first. */
export type ErrorSource = 'client' | 'upstream' | 'internal' | 'configuration';

/** What is known of a failure before it happens. */
export interface ErrorKind {
  /** HTTP status sent to the client. */
  readonly status: number;
  /** Code in the OCI error body: distribution-spec "Error Codes", or `UNKNOWN` where the spec has none. */
  readonly oci: string;
  readonly source: ErrorSource;
  /** Whether the same request may succeed if it is simply made again. */
  readonly retryable: boolean;
  /** One sentence for the reference page. */
  readonly help: string;
}

/** Declares one. */
export function kind(
  status: number,
  oci: string,
  source: ErrorSource,
  retryable: boolean,
  help: string,
): ErrorKind {
  return { status, oci, source, retryable, help };
}
