/** Join files: broker-info.subm with a credential that lets one cluster join once. Pure. */
import { isObject } from './decode.ts';

const ACCOUNT_ANNOTATION = 'subctl.submariner.io/join-account';
/** On a join account and in its file: the only ID under which a cluster may join with it. */
export const JOIN_CLUSTER_ANNOTATION = 'subctl.submariner.io/join-clusterid';

/** The token of a broker-info.subm, as much of it as matters here. */
interface FileToken {
  readonly metadata: { readonly [field: string]: unknown };
}

/** What makes a broker-info.subm a join file. */
export interface JoinFile {
  /** Service account on the broker that goes when the file has been used. */
  readonly account: string;
  /** undefined: any ID. */
  readonly clusterId: string | undefined;
}

/** Annotations of the token in a join file; programs that do not know them see an ordinary token. */
export function joinFileAnnotations({ account, clusterId }: JoinFile): Readonly<Record<string, string>> {
  return {
    [ACCOUNT_ANNOTATION]: account,
    ...(clusterId === undefined ? {} : { [JOIN_CLUSTER_ANNOTATION]: clusterId }),
  };
}

/** What the token says of the join file it is of; undefined for that of an administrator. */
export function joinFileOf({ clientToken }: { readonly clientToken: FileToken }): JoinFile | undefined {
  return joinFileOfToken(clientToken);
}

/** The same, of the token alone. */
export function joinFileOfToken({ metadata }: FileToken): JoinFile | undefined {
  const annotations = metadata['annotations'];
  if (!isObject(annotations)) return undefined;
  const { [ACCOUNT_ANNOTATION]: account, [JOIN_CLUSTER_ANNOTATION]: clusterId } = annotations;
  if (typeof account !== 'string' || account === '') return undefined;
  return { account, clusterId: typeof clusterId === 'string' && clusterId !== '' ? clusterId : undefined };
}
