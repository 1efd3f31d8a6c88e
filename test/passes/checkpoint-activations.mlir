// RUN: ds-opt --ds-phases=to=differentiate %S/Inputs/tiny-train.mlir | FileCheck --check-prefix=ALL %s
// RUN: ds-opt --ds-phases="to=differentiate keep=1152" %S/Inputs/tiny-train.mlir | FileCheck --check-prefix=NONE %s
// RUN: ds-opt --ds-phases="to=differentiate keep=3300" %S/Inputs/tiny-train.mlir | FileCheck --check-prefix=SOME %s
// RUN: not ds-opt --ds-phases="to=differentiate keep=1151" %S/Inputs/tiny-train.mlir 2>&1 | FileCheck --check-prefix=LITTLE %s

// The default keeps what saves a product or attention. Norms, SwiGLU and the
// residual addition are recomputed, and nothing else is left.
// ALL-LABEL: func private @layer.forward
// ALL: return %{{.*}}, %{{.*}}, %{{.*}}, %arg0, %{{.*}} : tensor<?x64xf32>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>, tensor<?x64xf32>, tensor<?x64xbf16>, tensor<?x64xbf16>, tensor<?x8xf32>, tensor<?x64xbf16>, tensor<?x352xbf16>
// ALL-LABEL: func private @layer.backward
// ALL-SAME: ds.kept = ["input: 256", "query: 128", "attend: 128", "lse: 32", "o: 128", "gate_up: 704"]
// ALL-SAME: ds.recomputed = ["rms_norm", "extf", "addf", "rms_norm", "swiglu_pairs"]
// ALL-NOT: ds.forward
// ALL-COUNT-2: = ds.rms_norm %
// ALL-NOT: = ds.linear %
// ALL-NOT: ds.attend %
// ALL: return
// ALL-LABEL: func @train

// With the least budget the forward is as without training.
// NONE-LABEL: func private @layer.forward
// NONE: ds.attend {{.*}} -> tensor<?x64xbf16>{{$}}
// NONE: ds.gated_linear
// NONE-LABEL: func private @layer.backward
// NONE-SAME: ds.kept = ["input: 256", "query: 128"]
// NONE-SAME: ds.recomputed = ["rms_norm", "attend", "o", "extf", "addf", "rms_norm", "gate_up", "swiglu_pairs"]
// NONE: ds.attend {{.*}} -> tensor<?x64xbf16>, tensor<?x8xf32>
// NONE: ds.swiglu_pairs
// NONE: ds.attend_backward

// What saves most for its bytes comes first.
// SOME-LABEL: func private @layer.backward
// SOME-SAME: ds.kept = ["input: 256", "query: 128", "attend: 128", "lse: 32", "o: 128"]
// SOME-SAME: ds.recomputed = ["rms_norm", "extf", "addf", "rms_norm", "gate_up", "swiglu_pairs"]

// LITTLE: error: expects a budget of at least 1152 bytes per token for the inputs of layers and what they append, got 1151
