// RUN: ds-opt --ds-plan-memory --split-input-file --verify-diagnostics %s

// expected-error @below {{expects an entry function}}
module attributes {ds.model = "m", ds.compute = f32, ds.config = {}} {
}

// -----

// expected-error @below {{expects module attribute 'ds.compute' to be bf16 or f32}}
module attributes {ds.model = "m", ds.config = {}} {
  func.func @forward(%s: !ds.seq) attributes {ds.entry = "infer"} {
    return
  }
}

// -----

module attributes {ds.model = "m", ds.compute = f32, ds.config = {}} {
  // expected-error @below {{expects the entry to return logits first}}
  func.func @forward(%s: !ds.seq) attributes {ds.entry = "infer"} {
    return
  }
}

// -----

module attributes {ds.model = "m", ds.compute = f32, ds.config = {}} {
  func.func @forward(%s: !ds.seq, %x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {ds.entry = "infer"} {
    // expected-error @below {{expects operands that kernels made}}
    %y = ds.kernel.elementwise @e(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32> {
    ^bb0(%e: f32):
      ds.yield %e : f32
    }
    return %y : tensor<?x8xf32>
  }
}

// -----

module attributes {ds.model = "m", ds.compute = f32, ds.config = {}} {
  ds.weight @t {labels = ["t"], rows = array<i64: 8>} : tensor<8x32xf32>
  func.func @forward(%s: !ds.seq) -> tensor<?x32xf32> attributes {ds.entry = "infer"} {
    // expected-error @below {{expects a weight with a layout}}
    %t = ds.get_weight @t : tensor<8x32xf32>
    %x = ds.kernel.embed @embed %t, %s layout raw : tensor<8x32xf32> -> tensor<?x32xf32>
    return %x : tensor<?x32xf32>
  }
}

// -----

module attributes {ds.model = "m", ds.compute = f32, ds.config = {}} {
  func.func @forward(%s: !ds.seq) -> tensor<?x8xf32> attributes {ds.entry = "infer"} {
    %x = ds.kernel.angles @angles %s <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x8xf32>
    // expected-error @below {{expects only kernels and runs of bodies}}
    %y = arith.negf %x : tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}

// -----

module attributes {ds.model = "m", ds.compute = f32, ds.config = {}} {
  func.func @forward(%s: !ds.seq, %k: !ds.state<[1, 8], f32>) -> tensor<?x8xf32> attributes {ds.entry = "infer"} {
    %x = ds.kernel.angles @angles %s <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x8xf32>
    %k1 = ds.kernel.heads @heads %x, %x, %s states(%k) <half_split, dims = 8, theta = 1.0e4 : f64> [#ds.segment<begin = 0, heads = 1, dim = 8, rotate = true, dest = key>] {resultSegmentSizes = array<i32: 0, 1>} : (tensor<?x8xf32>, tensor<?x8xf32>, !ds.seq, !ds.state<[1, 8], f32>) -> !ds.state<[1, 8], f32>
    // expected-error @below {{expects state 'state0' not to be kept as keys and as values}}
    %y = ds.kernel.attention @attention %x, %k1, %k1, %s heads 1 scale 0.353 : (tensor<?x8xf32>, !ds.state<[1, 8], f32>, !ds.state<[1, 8], f32>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}
