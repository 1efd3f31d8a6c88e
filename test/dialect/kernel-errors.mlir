// RUN: ds-opt --split-input-file --verify-diagnostics %s

func.func @matmul_rows(%a: tensor<?x32xbf16>, %w: tensor<64x32xbf16>) {
  // expected-error @below {{'ds.kernel.matmul' op expects a weight of 96 rows, got 'tensor<64x32xbf16>'}}
  %y = ds.kernel.matmul @m %a, %w : (tensor<?x32xbf16>, tensor<64x32xbf16>) -> tensor<?x96xf32> {
  ^bb0(%s: f32):
    ds.yield %s : f32
  }
  return
}

// -----

func.func @matmul_pair_rows(%a: tensor<?x32xbf16>, %w: tensor<64x32xbf16>) {
  // expected-error @below {{'ds.kernel.matmul' op expects a weight of 128 rows, got 'tensor<64x32xbf16>'}}
  %y = ds.kernel.matmul @m %a, %w pair : (tensor<?x32xbf16>, tensor<64x32xbf16>) -> tensor<?x64xf32> {
  ^bb0(%s: f32, %u: f32):
    ds.yield %s : f32
  }
  return
}

// -----

func.func @matmul_columns(%a: tensor<?x32xbf16>, %w: tensor<64x31xbf16>) {
  // expected-error @below {{'ds.kernel.matmul' op expects a weight of 32 columns, got 'tensor<64x31xbf16>'}}
  %y = ds.kernel.matmul @m %a, %w : (tensor<?x32xbf16>, tensor<64x31xbf16>) -> tensor<?x64xf32> {
  ^bb0(%s: f32):
    ds.yield %s : f32
  }
  return
}

// -----

func.func @matmul_extra(%a: tensor<?x32xbf16>, %w: tensor<64x32xbf16>, %x: tensor<?x63xf32>) {
  // expected-error @below {{'ds.kernel.matmul' op expects operands of 64 columns, got 'tensor<?x63xf32>'}}
  %y = ds.kernel.matmul @m %a, %w extras(%x : tensor<?x63xf32>) : (tensor<?x32xbf16>, tensor<64x32xbf16>) -> tensor<?x64xf32> {
  ^bb0(%s: f32, %e: f32):
    ds.yield %s : f32
  }
  return
}

// -----

func.func @region_arguments(%a: tensor<?x32xbf16>, %w: tensor<64x32xbf16>) {
  // expected-error @below {{'ds.kernel.matmul' op expects a region of 1 arguments, got 2}}
  %y = ds.kernel.matmul @m %a, %w : (tensor<?x32xbf16>, tensor<64x32xbf16>) -> tensor<?x64xf32> {
  ^bb0(%s: f32, %e: f32):
    ds.yield %s : f32
  }
  return
}

// -----

func.func @region_types(%a: tensor<?x32xbf16>, %w: tensor<64x32xbf16>) {
  // expected-error @below {{'ds.kernel.matmul' op expects region argument 0 to be 'f32', got 'bf16'}}
  %y = ds.kernel.matmul @m %a, %w : (tensor<?x32xbf16>, tensor<64x32xbf16>) -> tensor<?x64xf32> {
  ^bb0(%s: bf16):
    ds.yield %s : bf16
  }
  return
}

// -----

func.func @region_yield(%a: tensor<?x32xbf16>, %w: tensor<64x32xbf16>) {
  // expected-error @below {{'ds.kernel.matmul' op expects the region to yield one 'f32'}}
  %y = ds.kernel.matmul @m %a, %w : (tensor<?x32xbf16>, tensor<64x32xbf16>) -> tensor<?x64xf32> {
  ^bb0(%s: f32):
    %t = arith.truncf %s : f32 to bf16
    ds.yield %t : bf16
  }
  return
}

// -----

func.func @region_code(%a: tensor<?x32xbf16>, %w: tensor<64x32xbf16>) {
  // expected-error @below {{'ds.kernel.matmul' op expects a region of scalar arith and math}}
  %y = ds.kernel.matmul @m %a, %w : (tensor<?x32xbf16>, tensor<64x32xbf16>) -> tensor<?x64xf32> {
  ^bb0(%s: f32):
    // expected-note @below {{found 'ds.row_reduce'}}
    %t = ds.row_reduce %s : f32
    ds.yield %t : f32
  }
  return
}

// -----

func.func @elementwise_vector(%x: tensor<?x64xf32>, %g: tensor<64xf32>) {
  // expected-error @below {{'ds.kernel.elementwise' op expects operands of 64 columns, got 'tensor<64xf32>'}}
  %y = ds.kernel.elementwise @e(%x, %g) : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32> {
  ^bb0(%e: f32, %f: f32):
    ds.yield %e : f32
  }
  return
}

// -----

func.func @row_columns(%x: tensor<?x64xf32>, %g: tensor<63xf32>) {
  // expected-error @below {{'ds.kernel.row' op expects operands of 64 columns, got 'tensor<63xf32>'}}
  %y = ds.kernel.row @e(%x, %g) : (tensor<?x64xf32>, tensor<63xf32>) -> tensor<?x64xf32> {
  ^bb0(%e: f32, %f: f32):
    ds.yield %e : f32
  }
  return
}

// -----

func.func @row_matrix(%g: tensor<64xf32>) {
  // expected-error @below {{'ds.kernel.row' op expects a matrix among its operands}}
  %y = ds.kernel.row @e(%g) : (tensor<64xf32>) -> tensor<?x64xf32> {
  ^bb0(%e: f32):
    ds.yield %e : f32
  }
  return
}

// -----

func.func @rows_mixed(%a: tensor<?x32xbf16>, %w: tensor<64x32xbf16>, %s: !ds.seq) {
  %x = ds.kernel.matmul @t %a, %w : (tensor<?x32xbf16>, tensor<64x32xbf16>) -> tensor<?x64xf32> {
  ^bb0(%e: f32):
    ds.yield %e : f32
  }
  // expected-error @below {{'ds.kernel.matmul' op expects operands of R rows, got one of T rows}}
  %y = ds.kernel.matmul @r %a, %w extras(%x : tensor<?x64xf32>) rows %s : (tensor<?x32xbf16>, tensor<64x32xbf16>) -> tensor<?x64xf32> {
  ^bb0(%e: f32, %f: f32):
    ds.yield %e : f32
  }
  return
}

// -----

func.func @embed_layout(%t: tensor<301x64xbf16>, %s: !ds.seq) {
  // expected-error @below {{'ds.kernel.embed' op expects a table that is raw or packed}}
  %x = ds.kernel.embed @e %t, %s layout vector_f32 : tensor<301x64xbf16> -> tensor<?x64xf32>
  return
}

// -----

func.func @angles_columns(%s: !ds.seq) {
  // expected-error @below {{'ds.kernel.angles' op expects a result of 8 columns}}
  %a = ds.kernel.angles @a %s <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x4xf32>
  return
}

// -----

func.func @heads_angles(%x: tensor<?x32xbf16>, %a: tensor<?x8xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.kernel.heads' op expects angles of 4 columns, got 'tensor<?x8xf32>'}}
  %q = ds.kernel.heads @h %x, %a, %s <half_split, dims = 4, theta = 1.0e4 : f64> [#ds.segment<begin = 0, heads = 2, dim = 8, rotate = true, dest = result>] {resultSegmentSizes = array<i32: 1, 0>} : (tensor<?x32xbf16>, tensor<?x8xf32>, !ds.seq) -> tensor<?x16xbf16>
  return
}

// -----

func.func @heads_within(%x: tensor<?x32xbf16>, %a: tensor<?x8xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.kernel.heads' op expects segment #ds.segment<begin = 24, heads = 2, dim = 8, rotate = true, dest = result> to lie within 32 columns}}
  %q = ds.kernel.heads @h %x, %a, %s <half_split, dims = 8, theta = 1.0e4 : f64> [#ds.segment<begin = 24, heads = 2, dim = 8, rotate = true, dest = result>] {resultSegmentSizes = array<i32: 1, 0>} : (tensor<?x32xbf16>, tensor<?x8xf32>, !ds.seq) -> tensor<?x16xbf16>
  return
}

// -----

func.func @heads_rotated(%x: tensor<?x32xbf16>, %a: tensor<?x8xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.kernel.heads' op expects rotated dims (8) to fit segment #ds.segment<begin = 0, heads = 4, dim = 4, rotate = true, dest = result>}}
  %q = ds.kernel.heads @h %x, %a, %s <half_split, dims = 8, theta = 1.0e4 : f64> [#ds.segment<begin = 0, heads = 4, dim = 4, rotate = true, dest = result>] {resultSegmentSizes = array<i32: 1, 0>} : (tensor<?x32xbf16>, tensor<?x8xf32>, !ds.seq) -> tensor<?x16xbf16>
  return
}

// -----

func.func @heads_fill(%x: tensor<?x32xbf16>, %a: tensor<?x8xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.kernel.heads' op expects segment #ds.segment<begin = 0, heads = 3, dim = 8, rotate = true, dest = result> to fill 'tensor<?x16xbf16>'}}
  %q = ds.kernel.heads @h %x, %a, %s <half_split, dims = 8, theta = 1.0e4 : f64> [#ds.segment<begin = 0, heads = 3, dim = 8, rotate = true, dest = result>] {resultSegmentSizes = array<i32: 1, 0>} : (tensor<?x32xbf16>, tensor<?x8xf32>, !ds.seq) -> tensor<?x16xbf16>
  return
}

// -----

func.func @heads_results(%x: tensor<?x32xbf16>, %a: tensor<?x8xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.kernel.heads' op expects one result for one segment with dest result}}
  %q = ds.kernel.heads @h %x, %a, %s <half_split, dims = 8, theta = 1.0e4 : f64> [#ds.segment<begin = 0, heads = 2, dim = 8, rotate = true, dest = result>, #ds.segment<begin = 16, heads = 2, dim = 8, rotate = true, dest = result>] {resultSegmentSizes = array<i32: 1, 0>} : (tensor<?x32xbf16>, tensor<?x8xf32>, !ds.seq) -> tensor<?x16xbf16>
  return
}

// -----

func.func @heads_no_state(%x: tensor<?x32xbf16>, %a: tensor<?x8xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.kernel.heads' op expects a state for segment #ds.segment<begin = 0, heads = 2, dim = 8, rotate = true, dest = key>}}
  %q = ds.kernel.heads @h %x, %a, %s <half_split, dims = 8, theta = 1.0e4 : f64> [#ds.segment<begin = 0, heads = 2, dim = 8, rotate = true, dest = key>] {resultSegmentSizes = array<i32: 1, 0>} : (tensor<?x32xbf16>, tensor<?x8xf32>, !ds.seq) -> tensor<?x16xbf16>
  return
}

// -----

func.func @heads_no_segment(%x: tensor<?x32xbf16>, %a: tensor<?x8xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.kernel.heads' op expects a segment for each of 1 states, got 0}}
  %q = ds.kernel.heads @h %x, %a, %s states(%k) <half_split, dims = 8, theta = 1.0e4 : f64> [] {resultSegmentSizes = array<i32: 0, 1>} : (tensor<?x32xbf16>, tensor<?x8xf32>, !ds.seq, !ds.state<[2, 8], bf16>) -> !ds.state<[2, 8], bf16>
  return
}

// -----

func.func @heads_no_result_segment(%x: tensor<?x32xbf16>, %a: tensor<?x8xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.kernel.heads' op expects a segment with dest result}}
  %q = ds.kernel.heads @h %x, %a, %s <half_split, dims = 8, theta = 1.0e4 : f64> [] {resultSegmentSizes = array<i32: 1, 0>} : (tensor<?x32xbf16>, tensor<?x8xf32>, !ds.seq) -> tensor<?x16xbf16>
  return
}

// -----

func.func @heads_state_types(%x: tensor<?x32xbf16>, %a: tensor<?x8xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.kernel.heads' op expects new states of the types of the states}}
  %q = ds.kernel.heads @h %x, %a, %s states(%k) <half_split, dims = 8, theta = 1.0e4 : f64> [#ds.segment<begin = 0, heads = 2, dim = 8, rotate = true, dest = key>] {resultSegmentSizes = array<i32: 0, 1>} : (tensor<?x32xbf16>, tensor<?x8xf32>, !ds.seq, !ds.state<[2, 8], bf16>) -> !ds.state<[2, 4], bf16>
  return
}

// -----

// expected-error @below {{expects rows to be one of T, R, P, G, E, C and W, got "Q"}}
func.func @buffer_rows() attributes {a = #ds.buffer<name = "x", rows = "Q", rowBytes = 4, layers = 1, element = f32, offset = <perT = 0, perR = 0, constant = 0>>} {
  return
}

// -----

// expected-error @below {{expects row bytes to be positive}}
func.func @buffer_bytes() attributes {a = #ds.buffer<name = "x", rows = "T", rowBytes = 0, layers = 1, element = f32, offset = <perT = 0, perR = 0, constant = 0>>} {
  return
}

// -----

func.func @embed_fp8(%t: tensor<301x64xf8E4M3FN>, %s: !ds.seq) {
  // expected-error @below {{'ds.kernel.embed' op expects a table of bf16 or f32, got 'tensor<301x64xf8E4M3FN>'}}
  %x = ds.kernel.embed @embed %t, %s layout panel_e4m3 : tensor<301x64xf8E4M3FN> -> tensor<?x64xf32>
  return
}
