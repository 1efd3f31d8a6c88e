// RUN: ds-opt --ds-form-kernels --split-input-file --verify-diagnostics %s

func.func @rows(%x: tensor<?x64xbf16>, %s: !ds.seq) -> tensor<?x64xbf16> {
  // expected-error @below {{'ds.select_rows' op expects rows that only linear operations read}}
  %r = ds.select_rows %x, %s : tensor<?x64xbf16>
  return %r : tensor<?x64xbf16>
}

// -----

func.func @rank(%x: tensor<?x8x8xf32>) -> tensor<?x8x8xf32> {
  // expected-error @below {{'arith.negf' op expects an operation of which a kernel can be made}}
  %y = arith.negf %x : tensor<?x8x8xf32>
  return %y : tensor<?x8x8xf32>
}
