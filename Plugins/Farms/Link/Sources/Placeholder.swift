internal import Base
