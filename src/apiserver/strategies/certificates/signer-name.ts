import { invalidValue, required, tooLong, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { DNS_LABEL_MAX_LENGTH, DNS_SUBDOMAIN_MAX_LENGTH, isDNS1123Label, isDNS1123Subdomain } from '#machinery/names.ts';

/** Longest domain, path and the slash between them. */
const MAX_LENGTH = DNS_SUBDOMAIN_MAX_LENGTH * 2 + DNS_LABEL_MAX_LENGTH + 2;

/** The first label of `text` that `check` complains of. */
function labelErrors(text: string, check: (label: string) => readonly string[], path: FieldPath): FieldError[] {
  for (const label of text.split('.')) {
    const messages = check(label);
    if (messages.length > 0) return messages.map((message) => invalidValue(path, text, `validating label ${JSON.stringify(label)}: ${message}`));
  }
  return [];
}
/** `example.com/my-signer`: a domain and one path segment. Source: the API reference, CertificateSigningRequest `spec.signerName`. */
export function validateSignerName(name: string, path: FieldPath): FieldError[] {
  if (name === '') return [required(path)];
  const [domain = '', tail = '', ...more] = name.split('/');
  if (more.length > 0 || !name.includes('/')) return [invalidValue(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")];
  return [
    ...(domain.length > DNS_SUBDOMAIN_MAX_LENGTH ? [tooLong(path, DNS_SUBDOMAIN_MAX_LENGTH)] : []),
    ...labelErrors(domain, isDNS1123Label, path),
    ...(domain.includes('.') ? [] : [invalidValue(path, domain, 'should be a domain with at least two segments separated by dots')]),
    ...labelErrors(tail, isDNS1123Subdomain, path),
    ...(name.length > MAX_LENGTH ? [tooLong(path, MAX_LENGTH)] : []),
  ];
}
/** Whether the signer's domain is Kubernetes' own. */
export function isKubernetesSigner(name: string): boolean {
  const domain = name.split('/', 1)[0]!;
  return domain === 'kubernetes.io' || domain.endsWith('.kubernetes.io');
}
