/** Rules for the ID of a cluster: a DNS-1123 label of at most 63 characters. */

const LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
const MAX_LENGTH = 63;

/**
 * A cluster ID made of any text, e.g. of the cluster's name in a kubeconfig: lower case, runs of other characters become
 * `-`, a `-` at either end becomes `0`, cut at 63 characters. '' for an empty text.
 */
export function sanitizeClusterId(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .slice(0, MAX_LENGTH)
    .replace(/^-/, '0')
    .replace(/-$/, '0');
}

/** Why a text cannot be the ID of a cluster; undefined when it can. */
export function clusterIdProblem(id: string): string | undefined {
  if (id === '') return 'a cluster ID must not be empty';
  if (id.length > MAX_LENGTH) return `the cluster ID ${quote(id)} is longer than ${MAX_LENGTH} characters`;
  if (LABEL.test(id)) return undefined;
  const suggestion = sanitizeClusterId(id);
  const instead = LABEL.test(suggestion) ? `, for example ${suggestion}` : '';
  return `the cluster ID ${quote(id)} must consist of lower-case letters, digits and "-", and begin and end with a letter or digit${instead}`;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}
