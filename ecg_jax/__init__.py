"""Which depth, width and kernel does my ECG data want? 1-D ResNets of any scale in JAX, from WFDB files on."""
