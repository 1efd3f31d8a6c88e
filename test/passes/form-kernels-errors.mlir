// RUN: ds-opt --ds-form-kernels --split-input-file --verify-diagnostics %s

func.func @rank(%x: tensor<?x8x8xf32>) -> tensor<?x8x8xf32> {
  // expected-error @below {{'arith.negf' op expects an operation of which a kernel can be made}}
  %y = arith.negf %x : tensor<?x8x8xf32>
  return %y : tensor<?x8x8xf32>
}
