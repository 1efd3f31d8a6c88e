// RUN: ds-opt %s -split-input-file -verify-diagnostics

// expected-error @below {{expects every (3) to divide 32}}
func.func private @stride(!ds.state<[2, 24], bf16 every 3>)

// -----

func.func @length(%k: !ds.state<[2, 24], bf16>, %p: tensor<6x24xbf16>, %s: !ds.seq) {
  // expected-error @below {{expects length (6) to be a multiple of stride (4)}}
  %r = ds.gather_blocks %k, %p, %s length 6 stride 4
      : (!ds.state<[2, 24], bf16>, tensor<6x24xbf16>, !ds.seq) -> tensor<?x144xbf16>
  return
}

// -----

func.func @rows(%e: !ds.state<[2, 24], bf16 every 4>, %a: tensor<?x24xf32>, %s: !ds.seq) {
  %x = arith.truncf %a : tensor<?x24xf32> to tensor<?x24xbf16>
  // expected-error @below {{expects C*2 rows, got T}}
  %e1 = ds.append_blocks %e, %x, %s : !ds.state<[2, 24], bf16 every 4>, tensor<?x24xbf16>
  return
}

// -----

func.func @list(%q: tensor<?x192xbf16>, %k: !ds.state<[2, 24], bf16>, %v: !ds.state<[2, 16], bf16>, %s: !ds.seq) {
  // expected-error @below {{expects a list where keys are blocks}}
  %y, %l = ds.sparse_attend %q, %k, %v, %s heads 8 scale 0.2 from blocks 16
      : (tensor<?x192xbf16>, !ds.state<[2, 24], bf16>, !ds.state<[2, 16], bf16>, !ds.seq)
     -> (tensor<?x128xbf16>, tensor<?x8xf32>)
  return
}

// -----

func.func @entries(%q: tensor<?x192xbf16>, %k: !ds.state<[2, 24], bf16>, %v: !ds.state<[2, 16], bf16>, %s: !ds.seq) {
  // expected-error @below {{expects states of entries where keys are entries}}
  %y, %l = ds.sparse_attend %q, %k, %v, %s heads 8 scale 0.2 from entries 16
      : (tensor<?x192xbf16>, !ds.state<[2, 24], bf16>, !ds.state<[2, 16], bf16>, !ds.seq)
     -> (tensor<?x128xbf16>, tensor<?x8xf32>)
  return
}

// -----

func.func @count(%q: tensor<?x192xbf16>, %k: !ds.state<[2, 24], bf16 every 4>, %l: tensor<?x8xf32>, %s: !ds.seq) {
  // expected-error @below {{expects count (2) to be at least initial + local blocks}}
  %b = ds.select_blocks %q, %k, %l, %s heads 8 scale 0.2 length 8 block 16 count 2 initial 1 local 2
      : (tensor<?x192xbf16>, !ds.state<[2, 24], bf16 every 4>, tensor<?x8xf32>, !ds.seq)
     -> tensor<?x4xi32>
  return
}
