import { type KeyObject } from 'node:crypto';
import { type Resource } from './json.ts';
import { type Registry, type ResourceType } from './registry.ts';
import { type User } from './request.ts';
import { type Cause } from './status.ts';
import { type Store } from './store.ts';

/** The parts of one running server that handlers and controllers share. */
export interface Api {
  readonly store: Store;
  readonly registry: Registry;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** IPv4 range of ClusterIPs. */
  readonly serviceCidr: string;
  /** PEM of the authority clients verify this server with, '' without TLS. */
  readonly authority: string;
  readonly issuer: string;
  readonly signingKey: KeyObject;
  readonly adminToken: string;
}

/** One write as the rules of a kind see it; `next` may still be changed, `live` not. */
export interface Change {
  readonly type: ResourceType;
  readonly next: Resource;
  readonly live?: Resource | undefined;
  readonly user: User;
  readonly dryRun: boolean;
}

/** The rules of one kind beyond its schema. */
export interface Rules {
  /** Fills in what depends on other fields, or refuses with an ApiError; runs before validation. */
  readonly prepare?: (api: Api, change: Change) => void;
  readonly validate?: (api: Api, change: Change) => Cause[];
  /** A PUT needs a resourceVersion. */
  readonly conditional?: boolean;
  /** A PUT of a missing object creates it. */
  readonly putCreates?: boolean;
}
