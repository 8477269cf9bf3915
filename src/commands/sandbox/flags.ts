/** Flags of every `sandbox` command. */
export interface SandboxFlags {
  readonly name: string;
}

/** Flags of `sandbox up`. */
export interface UpFlags extends SandboxFlags {
  readonly clusters: readonly string[];
  readonly nodes: number;
  readonly gateways: number;
  /** Milliseconds. */
  readonly wanLatency: number;
  readonly controlPlane: string;
}

/** Flags of `sandbox fault`. */
export interface FaultFlags extends SandboxFlags {
  readonly kill?: boolean;
  readonly blackhole?: boolean;
  readonly heal?: boolean;
}
