// RUN: ds-opt --split-input-file --verify-diagnostics %s

func.func @arguments(%a: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @below {{expects a region that takes what the operands are}}
  %y = ds.kernel.reference @silu(%a) rows "T" : (tensor<?x64xf32>) -> tensor<?x64xf32> {
  ^bb0(%x: tensor<?x32xf32>):
    %z = ds.silu %x : tensor<?x32xf32>
    ds.yield %z : tensor<?x32xf32>
  }
  return %y : tensor<?x64xf32>
}

// -----

func.func @nothing(%a: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @below {{expects a region that yields an operation's results}}
  %y = ds.kernel.reference @same(%a) rows "T" : (tensor<?x64xf32>) -> tensor<?x64xf32> {
  ^bb0(%x: tensor<?x64xf32>):
    ds.yield %x : tensor<?x64xf32>
  }
  return %y : tensor<?x64xf32>
}

// -----

func.func @unknown(%a: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @below {{expects an operation whose meaning is known, got ds.stop_gradient}}
  %y = ds.kernel.reference @stop(%a) rows "T" : (tensor<?x64xf32>) -> tensor<?x64xf32> {
  ^bb0(%x: tensor<?x64xf32>):
    %z = ds.stop_gradient %x : tensor<?x64xf32>
    ds.yield %z : tensor<?x64xf32>
  }
  return %y : tensor<?x64xf32>
}

// -----

func.func @types(%a: tensor<?x64xf32>) -> tensor<?x32xf32> {
  // expected-error @below {{expects to yield all results of ds.silu, as its own}}
  %y = ds.kernel.reference @silu(%a) rows "T" : (tensor<?x64xf32>) -> tensor<?x32xf32> {
  ^bb0(%x: tensor<?x64xf32>):
    %z = ds.silu %x : tensor<?x64xf32>
    ds.yield %z : tensor<?x64xf32>
  }
  return %y : tensor<?x32xf32>
}
