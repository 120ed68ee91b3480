import { invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Subdomain } from '#machinery/names.ts';
import { fromMessages } from '../field-checks.ts';

/** Longest domain, path and the slash between them. */
const MAX_LENGTH = 571;
const PATH_SEGMENT = /^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/;
const MAX_SEGMENT = 63;

/** `example.com/my-signer`: a domain with a path of one or more segments. Source: the API reference, CertificateSigningRequest `spec.signerName`. */
export function validateSignerName(name: string, path: FieldPath): FieldError[] {
  if (name === '') return [required(path)];
  const slash = name.indexOf('/');
  const segments = name.split('/');
  if (segments.length !== 2) return [invalidValue(path, name, `must be a fully qualified domain and path of the form 'example.com/signer-name'`)];
  const domain = name.slice(0, slash);
  const errors = fromMessages(path, domain, isDNS1123Subdomain(domain));
  if (domain.split('.').length < 2) errors.push(invalidValue(path, domain, 'should be a domain with at least two segments separated by dots'));
  for (const label of segments[1]!.split('.')) {
    if (!PATH_SEGMENT.test(label) || label.length > MAX_SEGMENT) {
      errors.push(...fromMessages(path, segments[1]!, isDNS1123Subdomain(segments[1]!.toLowerCase())));
      break;
    }
  }
  if (name.length > MAX_LENGTH) errors.push({ type: 'FieldValueTooLong', field: path.toString(), body: `Too long: may not be more than ${MAX_LENGTH} bytes` });
  return errors;
}
