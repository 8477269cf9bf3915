import { type BrokerAccess, NEW_JOIN_FILE } from '../../api/brokerinfo.ts';
import type { JoinFile } from '../../api/joinfile.ts';
import { BROKER_NAME } from '../../api/names.ts';
import type { Broker } from '../../api/types.ts';
import type { KubeClient } from '../../kube/client.ts';
import {
  isNotFound,
  isUnauthorized,
  isUntrustedCertificate,
  KubeApiError,
  KubeConnectionError,
} from '../../kube/errors.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { PSK_FINGERPRINT_ANNOTATION, pskFingerprint } from '../pskfingerprint.ts';

/** The broker that a broker-info.subm leads to. */
export interface AtBroker {
  readonly client: KubeClient;
  readonly access: BrokerAccess;
  readonly file: string;
  /** What makes the file one with which one cluster can join once. */
  readonly joinFile?: JoinFile | undefined;
}

const RECOVER =
  'Get a new file: subctl recover-broker-info --context JOINED-CLUSTER --broker-context BROKER, or run subctl deploy-broker on the broker again.';

/** The same error, or one that says what a refusal of the broker means for the file: that it is for another broker, was edited or is out of date. */
export function explainBrokerError(error: unknown, at: AtBroker): unknown {
  const explanation = isFromBroker(error, at) ? explain(error, at) : undefined;
  if (explanation === undefined) return error;
  const [message, hint] = explanation;
  return new ExpectedError(message, { hint, cause: error });
}

function isFromBroker(error: unknown, { client, file }: AtBroker): boolean {
  if (!(error instanceof KubeApiError) && !(error instanceof KubeConnectionError)) return false;
  const { server, source } = error.attempt;
  return server === client.server && (source === undefined || source === file);
}

function explain(error: unknown, { client, access, file, joinFile }: AtBroker): readonly [string, string] | undefined {
  const { server } = client;
  if (isUnauthorized(error) && joinFile !== undefined) {
    return [
      `the broker ${server} does not accept ${file} any more: one cluster can join with it once, and it was used or revoked`,
      `${NEW_JOIN_FILE} Nothing was changed.`,
    ];
  }
  if (isUnauthorized(error)) {
    return [
      `the broker ${server} does not accept the token of ${file}: it was revoked or edited, or is of another broker`,
      RECOVER,
    ];
  }
  if (isNotFound(error)) {
    return [
      `what answers at ${server} is not the broker of ${file}: it does not know the resources of a broker in namespace ${access.namespace}`,
      `Was the broker removed, or has its address changed (--broker-url)? ${RECOVER}`,
    ];
  }
  if (error instanceof KubeConnectionError && isUntrustedCertificate(error.cause)) {
    return [
      `what answers at ${server} is not the broker of ${file}: its certificate is not signed by the CA in the file`,
      `Has the address of the broker changed (--broker-url), or its CA? ${RECOVER}`,
    ];
  }
  return undefined;
}

/** Throws ExpectedError when there is no broker where the file says, or when it has another pre-shared key than the file. */
export function refuseForeignBroker(broker: Broker | undefined, psk: Buffer, { client, access, file }: AtBroker): void {
  const { namespace } = access;
  if (broker === undefined) {
    throw new ExpectedError(
      `there is no broker in namespace ${namespace} of ${client.server}: no Broker object ${BROKER_NAME}`,
      {
        hint: `Was it removed, or is ${file} for another one? subctl deploy-broker on the broker cluster sets it up again. Nothing was changed.`,
      },
    );
  }
  const recorded = broker.metadata.annotations?.[PSK_FINGERPRINT_ANNOTATION];
  if (recorded === undefined || recorded === pskFingerprint(psk)) return;
  throw new ExpectedError(
    `the pre-shared key in ${file} is not the one of the broker ${client.server}: the file was edited or is from before the key was changed`,
    { hint: `A cluster with it could not connect to the others. ${RECOVER} Nothing was changed.` },
  );
}
