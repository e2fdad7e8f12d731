"""gRPC over HTTP/2 on the event loop itself: nghttp2 keeps the protocol, what gRPC puts on top of it is here.

The mapping is https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
"""
